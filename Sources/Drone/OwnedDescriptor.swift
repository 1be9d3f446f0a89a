package import Linux

/// A descriptor with one owner that can be passed around and stand in an array, as those that come from the warden do.
/// Closed when nobody takes it.
package final class OwnedDescriptor {
    private var descriptor: Descriptor?
    private let number: Int32

    /// Takes ownership.
    package init(owning raw: Int32) {
        number = raw
        descriptor = Descriptor(owning: raw)
    }

    /// The number, while it is owned here; nil after it was given away.
    package var raw: Int32? { descriptor == nil ? nil : number }

    /// Gives the number up: the caller now closes it.
    package func release() -> Int32? { descriptor.take()?.release() }

    /// Makes reads and writes return at once.
    package func setNonblocking() throws(SystemError) { try descriptor?.setNonblocking() }

    /// Reads once. - Returns: bytes read; 0 at the end or after an error, nil when there is nothing yet.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        guard descriptor != nil else { return 0 }
        do throws(SystemError) { return try descriptor?.read(into: buffer) } catch { return 0 }
    }
}
