/// What must hold in every schedule.
enum Rule: String, CaseIterable {
    /// For each key at most one process exists whose lease was not expired, anywhere.
    case oneProcessPerKey = "one process per key"
    /// A process runs only while the store says that its backend lives, and holds its key.
    case processHasRow = "a process runs only for a live row"
    /// Fencing tokens of a key strictly increase in the order of the starts, and none starts twice.
    case tokensIncrease = "fencing tokens increase"
    /// What a connect was answered is in the store from then on, under the same token.
    case acknowledgedIsKept = "acknowledged connects are kept"
    /// No process lives beyond the hard deadline that its drone had acknowledged.
    case deadlineHolds = "no process outlives its hard deadline"
    /// A session ends only when its drone's deadlines are over.
    case sessionEndsLate = "sessions end after their deadlines"
    /// Nothing is relayed for a backend whose lease is lost.
    case nothingRelayedLate = "nothing is relayed after the lease"
    /// A token leads nowhere on a drone that was told of its revocation.
    case revokedStaysRevoked = "revoked tokens lead nowhere"
    /// Each end has a reason.
    case endsHaveReasons = "ends have reasons"
    /// A backend that was promised by a connect is not swept before that connect could be used.
    case promiseIsUsable = "a connect's backend is not swept away under it"
    /// When faults stop, connects lead to ready backends in bounded time.
    case progressResumes = "progress resumes"
    /// When all was asked to end, all has ended, and store, drones and kernels agree.
    case everythingEnds = "everything ends"
}
