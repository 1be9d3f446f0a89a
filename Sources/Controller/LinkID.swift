/// Names one drone connection for the life of the controller.
package struct LinkID: Hashable, Sendable, Comparable {
    package let number: UInt64

    package static func < (a: LinkID, b: LinkID) -> Bool { a.number < b.number }
}
