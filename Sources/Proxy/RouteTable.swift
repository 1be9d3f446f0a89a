/// A route with what a thread knows of its backend. An object, so that a lookup copies nothing.
final class RouteTarget {
    let route: Route
    let backend: UnsafeMutablePointer<BackendRecord>

    init(_ route: Route, _ backend: UnsafeMutablePointer<BackendRecord>) {
        self.route = route
        self.backend = backend
    }
}

/// One token's entry.
struct RouteEntry {
    let token: [UInt8]
    let hash: Int
    var answer: Answer
    /// The next entry in the same bucket.
    var next: UnsafeMutablePointer<RouteEntry>?

    /// What is known about a token.
    enum Answer {
        case leads(RouteTarget)
        /// The owner was asked, CLOCK_BOOTTIME nanoseconds.
        case asked(at: UInt64)
        case unknown(until: UInt64)
    }
}

/// Tokens and where they lead, looked up by raw bytes without allocation.
///
/// The hash is seeded per process, so that nobody outside can choose tokens that share a bucket.
struct RouteTable: ~Copyable {
    private var buckets: UnsafeMutablePointer<UnsafeMutablePointer<RouteEntry>?>
    private var bucketCount: Int
    private(set) var count = 0
    /// Entries that lead nowhere: questions and negative answers, which strangers can cause.
    private(set) var barrenCount = 0
    /// Bound of ``barrenCount``.
    static let barrenLimit = 4096

    init() {
        bucketCount = 64
        buckets = .allocate(capacity: bucketCount)
        buckets.initialize(repeating: nil, count: bucketCount)
    }

    deinit {
        for bucket in 0..<bucketCount {
            var entry = buckets[bucket]
            while let present = entry {
                entry = present.pointee.next
                present.deinitialize(count: 1)
                present.deallocate()
            }
        }
        buckets.deallocate()
    }

    static func hash(_ token: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: token)
        return hasher.finalize()
    }

    func find(_ token: UnsafeRawBufferPointer, hash: Int) -> UnsafeMutablePointer<RouteEntry>? {
        var entry = buckets[hash & (bucketCount - 1)]
        while let present = entry {
            if present.pointee.hash == hash, Self.isSame(present.pointee.token, token) { return present }
            entry = present.pointee.next
        }
        return nil
    }

    /// In a time that does not tell how many bytes agree.
    private static func isSame(_ stored: [UInt8], _ token: UnsafeRawBufferPointer) -> Bool {
        guard stored.count == token.count else { return false }
        return stored.withUnsafeBytes { bytes in
            var difference: UInt8 = 0
            for index in 0..<bytes.count { difference |= bytes[index] ^ token[index] }
            return difference == 0
        }
    }

    /// Adds or replaces what is known about a token.
    /// - Parameter now: what has expired by then makes room before the table grows.
    mutating func set(_ token: UnsafeRawBufferPointer, hash: Int, _ answer: RouteEntry.Answer, now: UInt64) {
        if let entry = find(token, hash: hash) {
            barrenCount += answer.barrenCount - entry.pointee.answer.barrenCount
            entry.pointee.answer = answer
            return
        }
        if count >= bucketCount {
            removeAll { $0.answer.hasExpired(now) }
            if count > bucketCount / 2 { grow() }
        }
        let entry = UnsafeMutablePointer<RouteEntry>.allocate(capacity: 1)
        let bucket = hash & (bucketCount - 1)
        entry.initialize(to: RouteEntry(token: Array(token), hash: hash, answer: answer, next: buckets[bucket]))
        buckets[bucket] = entry
        count += 1
        barrenCount += answer.barrenCount
    }

    /// Removes all entries for which `isStale` holds.
    mutating func removeAll(where isStale: (borrowing RouteEntry) -> Bool) {
        for bucket in 0..<bucketCount {
            var previous: UnsafeMutablePointer<RouteEntry>?
            var entry = buckets[bucket]
            while let present = entry {
                let next = present.pointee.next
                if isStale(present.pointee) {
                    if let previous { previous.pointee.next = next } else { buckets[bucket] = next }
                    count -= 1
                    barrenCount -= present.pointee.answer.barrenCount
                    present.deinitialize(count: 1)
                    present.deallocate()
                } else {
                    previous = present
                }
                entry = next
            }
        }
    }

    private mutating func grow() {
        let wider = bucketCount * 2
        let fresh = UnsafeMutablePointer<UnsafeMutablePointer<RouteEntry>?>.allocate(capacity: wider)
        fresh.initialize(repeating: nil, count: wider)
        for bucket in 0..<bucketCount {
            var entry = buckets[bucket]
            while let present = entry {
                entry = present.pointee.next
                let target = present.pointee.hash & (wider - 1)
                present.pointee.next = fresh[target]
                fresh[target] = present
            }
        }
        buckets.deallocate()
        buckets = fresh
        bucketCount = wider
    }
}

extension RouteEntry.Answer {
    /// Whether it is of no use any more. A question stays until it is answered or asked anew.
    func hasExpired(_ now: UInt64) -> Bool {
        switch self {
        case .leads(let target): target.route.expiresAtNanoseconds <= now
        case .asked: false
        case .unknown(let until): until <= now
        }
    }

    /// 1 if it leads nowhere, else 0.
    var barrenCount: Int {
        switch self {
        case .leads: 0
        case .asked, .unknown: 1
        }
    }
}
