import Model

/// A version of the protocol, or of what it stands on, that is wrong in one way. The simulator must catch each.
enum Mutant: String, CaseIterable {
    // Defects of the cores that ship.
    case deadlineFromAnswer = "deadline-from-answer"
    case wardenKeepsNoDeadline = "warden-keeps-no-deadline"
    case renewalRevivesExpired = "renewal-revives-expired"
    case restartForgetsSessions = "restart-forgets-sessions"
    case placementUnchecked = "placement-unchecked"
    case expiryUnchecked = "expiry-unchecked"
    case machineUnchecked = "machine-unchecked"
    case keyFreedOnRequest = "key-freed-on-request"
    case oldOrdersObeyed = "old-orders-obeyed"
    case orderRepeatsStart = "order-repeats-start"
    case sweepUnasked = "sweep-unasked"
    case seenBeforeRead = "seen-before-read"
    case endAssumed = "end-assumed"
    // Defects of what they stand on.
    /// The store answers before it has committed, and a crash loses what was answered.
    case replyBeforeCommit = "reply-before-commit"
    /// Fencing tokens are the store's wall clock.
    case tokenFromClock = "token-from-clock"
    /// Clocks run apart by more than the margin between the hard deadline and expiry.
    case noDriftMargin = "no-drift-margin"
    /// Sandboxes outlive their warden.
    case sandboxOutlivesWarden = "sandbox-outlives-warden"
    /// Init keeps no deadline of its own: a stopped warden kills nobody.
    case noInitGuard = "no-init-guard"
    /// The proxy relays whatever its drone has not forbidden.
    case noLeaseFence = "no-lease-fence"
    /// The clock does not count the time that a machine sleeps: CLOCK_MONOTONIC instead of CLOCK_BOOTTIME.
    case clockStopsAsleep = "clock-stops-asleep"
    /// Revocations get lost on the way to the drone.
    case revocationsLost = "revocations-lost"

    /// Whether only one kind of store can show it; nil for both.
    var needsSharedStore: Bool? {
        switch self {
        case .expiryUnchecked, .seenBeforeRead: true
        case .replyBeforeCommit: false
        case .deadlineFromAnswer, .wardenKeepsNoDeadline, .renewalRevivesExpired, .restartForgetsSessions,
            .placementUnchecked, .machineUnchecked, .keyFreedOnRequest, .oldOrdersObeyed, .orderRepeatsStart,
            .sweepUnasked, .endAssumed, .tokenFromClock, .noDriftMargin, .sandboxOutlivesWarden, .noInitGuard,
            .noLeaseFence, .clockStopsAsleep, .revocationsLost:
            nil
        }
    }

    /// In how many schedules, from seed 1 on, it is caught for certain.
    var seedsMax: Int { 500 }

    /// Faults without which it can hardly show.
    var favouredFaults: [Fault] {
        switch self {
        case .deadlineFromAnswer: [.partition, .slowNetwork]
        case .wardenKeepsNoDeadline, .noDriftMargin: [.partition, .droneStop]
        case .noLeaseFence: [.droneWedged]
        case .renewalRevivesExpired: [.storeSlow, .droneStop, .slowNetwork]
        case .restartForgetsSessions, .replyBeforeCommit: [.controllerCrash]
        case .placementUnchecked: [.storeSlow, .droneStop, .machineReboot, .partition]
        case .expiryUnchecked, .seenBeforeRead: [.controllerStop, .storeSlow, .partition]
        case .machineUnchecked: [.impostor, .machineLost]
        case .keyFreedOnRequest, .endAssumed: [.backendExit]
        case .sweepUnasked: [.slowNetwork]
        case .oldOrdersObeyed: [.orderRepeated, .droneStop, .partition]
        case .orderRepeatsStart: [.orderRepeated, .backendExit]
        case .tokenFromClock: [.wallClockJump]
        case .sandboxOutlivesWarden: [.wardenCrash]
        case .noInitGuard: [.wardenStop, .droneAndWardenStop]
        case .clockStopsAsleep: [.machineSleep]
        case .revocationsLost: []
        }
    }

    /// What is wrong in the cores.
    var defects: ProtocolDefects {
        switch self {
        case .deadlineFromAnswer: .deadlineFromAnswer
        case .wardenKeepsNoDeadline: .wardenKeepsNoDeadline
        case .renewalRevivesExpired: .renewalRevivesExpired
        case .restartForgetsSessions: .restartForgetsSessions
        case .placementUnchecked: .placementUnchecked
        case .expiryUnchecked: .expiryUnchecked
        case .machineUnchecked: .machineUnchecked
        case .keyFreedOnRequest: .keyFreedOnRequest
        case .oldOrdersObeyed: .oldOrdersObeyed
        case .orderRepeatsStart: .orderRepeatsStart
        case .sweepUnasked: .sweepUnasked
        case .seenBeforeRead: .seenBeforeRead
        case .endAssumed: .endAssumed
        case .replyBeforeCommit, .tokenFromClock, .noDriftMargin, .sandboxOutlivesWarden, .noInitGuard, .noLeaseFence,
            .clockStopsAsleep, .revocationsLost:
            []
        }
    }
}
