/// What happened in schedules, for the report.
struct Counts {
    var schedules = 0
    var steps = 0
    var faults = [Int](repeating: 0, count: Fault.allCases.count)
    var connectsAcknowledged = 0
    var connectsRefused = 0
    var backendsStarted = 0
    var sessionsConcluded = 0
    var requestsRelayed = 0
    var tokensRevoked = 0
    var jobs = 0

    mutating func add(_ other: Counts) {
        schedules += other.schedules
        steps += other.steps
        for index in faults.indices { faults[index] += other.faults[index] }
        connectsAcknowledged += other.connectsAcknowledged
        connectsRefused += other.connectsRefused
        backendsStarted += other.backendsStarted
        sessionsConcluded += other.sessionsConcluded
        requestsRelayed += other.requestsRelayed
        tokensRevoked += other.tokensRevoked
        jobs += other.jobs
    }
}
