/// Deliberate defects of the lease protocol, for the simulator's test that it would see each of them.
///
/// The cores that ship have one place for each. Only code of this package can set them, and no program of Plane but the
/// simulator does.
package struct ProtocolDefects: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The drone counts its deadlines from a renewal's answer instead of its sending.
    package static let deadlineFromAnswer = ProtocolDefects(rawValue: 1 << 0)
    /// The warden forgets the hard deadline and relies on the drone.
    package static let wardenKeepsNoDeadline = ProtocolDefects(rawValue: 1 << 1)
    /// The controller lets a renewal revive a session whose time is over.
    package static let renewalRevivesExpired = ProtocolDefects(rawValue: 1 << 2)
    /// A controller that starts gives drones that it did not hear no lease.
    package static let restartForgetsSessions = ProtocolDefects(rawValue: 1 << 3)
    /// A backend is placed without looking whether the drone's session still is the one that was seen.
    package static let placementUnchecked = ProtocolDefects(rawValue: 1 << 4)
    /// A session is ended though it was renewed since it was looked at.
    package static let expiryUnchecked = ProtocolDefects(rawValue: 1 << 5)
    /// Another machine may take over a drone's name while sandboxes of the first may run.
    package static let machineUnchecked = ProtocolDefects(rawValue: 1 << 6)
    /// A key is free as soon as its backend was asked to end.
    package static let keyFreedOnRequest = ProtocolDefects(rawValue: 1 << 7)
    /// The drone carries out a spawn order of an earlier session.
    package static let oldOrdersObeyed = ProtocolDefects(rawValue: 1 << 8)
    /// The drone does not remember what has ended: an order that comes twice starts it twice.
    package static let orderRepeatsStart = ProtocolDefects(rawValue: 1 << 9)
    /// The drone sweeps an idle backend without asking.
    package static let sweepUnasked = ProtocolDefects(rawValue: 1 << 10)
    /// The moment at which a renewal was seen in the store is taken before it is read.
    package static let seenBeforeRead = ProtocolDefects(rawValue: 1 << 11)
    /// A backend that was reported ended is freed though its drone has not seen its end.
    package static let endAssumed = ProtocolDefects(rawValue: 1 << 12)
}
