import Glibc
import Model
import Testing

@testable import plane_simulator

@Suite("Leases under simulated faults")
struct SimulatorTests {
    @Test("No rule is broken in 300 schedules")
    func clean() async {
        let campaign = Campaign(first: 1, seeds: 300, jobs: 2, mutant: nil)
        let result = await campaign.run(stopAtFirst: false) { _ in }
        #expect(result.violations.map(\.description) == [])
        #expect(result.counts.schedules == 300)
        // Schedules in which nothing happens prove nothing.
        #expect(result.counts.connectsAcknowledged > 3_000)
        #expect(result.counts.backendsStarted > 1_000)
        #expect(result.counts.sessionsConcluded > 100)
        #expect(result.counts.requestsRelayed > 300)
        #expect(result.counts.tokensRevoked > 100)
        for fault in Fault.allCases {
            #expect(result.counts.faults[fault.index] > 0, "\(fault.rawValue) never happened")
        }
    }

    @Test("Each mutant of the protocol is caught", arguments: Mutant.allCases)
    func mutant(_ mutant: Mutant) async throws {
        let campaign = Campaign(first: 1, seeds: mutant.seedsMax, jobs: 2, mutant: mutant)
        let result = await campaign.run(stopAtFirst: true) { _ in }
        let caught = try #require(
            result.violations.first, "\(mutant.rawValue) was not caught in \(mutant.seedsMax) schedules")
        // It was the defect, and not the schedule.
        #expect(Schedule(seed: caught.seed, favoured: mutant).run().violation == nil)
    }

    @Test("Each defect of the protocol has a mutant")
    func allDefects() {
        let defects = Mutant.allCases.reduce(into: ProtocolDefects()) { $0.formUnion($1.defects) }
        #expect(defects.rawValue == (1 << 13) - 1)
        #expect(Mutant.allCases.filter { $0.defects.isEmpty }.count >= 4)
    }

    @Test("A seed gives the same schedule twice")
    func sameTwice() {
        func lines(_ seed: UInt64) -> [String] {
            var lines: [String] = []
            _ = Schedule(seed: seed, onLine: { lines.append($0) }).run()
            return lines
        }
        for seed: UInt64 in 1...20 { #expect(lines(seed) == lines(seed)) }
        #expect(Schedule(seed: 1).run().digest == Schedule(seed: 1, onLine: { _ in }).run().digest)
        #expect(Schedule(seed: 1).run().digest != Schedule(seed: 2).run().digest)
    }

    @Test("A seed gives the same schedule in another process, whose dictionaries are ordered otherwise")
    func sameElsewhere() async throws {
        let other = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
            var digests: [String] = []
            for seed: UInt64 in 1...10 { digests.append(String(Schedule(seed: seed).run().digest, radix: 16)) }
            print("digests: \(digests.joined(separator: " "));")
        }
        var digests: [String] = []
        for seed: UInt64 in 1...10 { digests.append(String(Schedule(seed: seed).run().digest, radix: 16)) }
        let printed = String(decoding: try #require(other).standardOutputContent, as: UTF8.self)
        #expect(printed.contains("digests: \(digests.joined(separator: " "));"))
    }
}
