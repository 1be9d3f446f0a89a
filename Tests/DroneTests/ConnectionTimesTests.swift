import HTTP
import Model
import Testing

@testable import Drone

@Suite("Connections to controllers")
struct ConnectionTimesTests {
    @Test(
        "A connection on which nothing comes through is noticed and made again within the lease, however short that is")
    func withinTheLease() throws {
        for renew in [1, 3, 30, 300, 1_000, 3_000, 10_000, 60_000] as [Int64] {
            for factor in [3, 4, 10] as [Int64] {
                let soft = renew * factor
                guard soft < 500_000 else { continue }
                let times = ConnectionTimes(
                    try LeaseTimes(renew: renew, soft: soft, hard: soft + renew, expiry: 2 * (soft + renew)))
                let limit = Duration.milliseconds(soft)
                #expect(times.silence + times.firstPause + times.dial < limit)
                #expect(.milliseconds(renew) + times.answer + times.firstPause + times.dial <= limit)
                #expect(times.ping * 3 >= times.silence && times.ping < times.silence)
            }
        }
        let first = ConnectionTimes.first
        #expect(first.ping == .seconds(3) && first.silence == .seconds(9) && first.dial == .seconds(5))
    }

    @Test("Each controller is tried soon after the other, and all again after pauses that grow up to a bound")
    func rounds() throws {
        let urls = try ["http://a/", "http://b/", "http://c/"].map { try HTTPURL($0) }
        let times = ConnectionTimes.first
        var round = ControllerRound(urls, times)
        var hosts: [String] = []
        var pauses: [Duration] = []
        for _ in 0..<30 {
            hosts.append(round.current.host)
            pauses.append(round.next(jitter: 0))
        }
        #expect(Array(hosts.prefix(4)) == ["a", "b", "c", "a"])
        let long = pauses.enumerated().filter { $0.offset % 3 == 2 }.map(\.element)
        #expect(zip(long, long.dropFirst()).allSatisfy { $0 < $1 || $1 == times.longestPause })
        #expect(pauses.enumerated().allSatisfy { $0.offset % 3 == 2 || $0.element == times.firstPause })
        #expect(long.last == times.longestPause)
        round.succeeded(times)
        #expect(round.next(jitter: 1) == times.firstPause / 2)
    }
}
