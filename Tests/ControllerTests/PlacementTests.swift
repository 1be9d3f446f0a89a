import Model
import Store
import Testing

@testable import Controller

/// Where a backend goes.
@Suite struct PlacementTests {
    private let need = ResourceAmount(memoryBytes: 1 << 30, cpuMillis: 2000)

    private func refusal(_ known: Int = 1) -> Placement.NoDrone {
        var refusal = Placement.NoDrone(cluster: Values.cluster(), pool: "", image: Values.image())
        refusal.known = known
        return refusal
    }

    private func candidate(_ name: String, session: Int64 = 1) -> Placement.Candidate {
        .init(drone: Values.drone(name), session: SessionNumber(session), promise: need)
    }

    private func row(_ name: String, promised count: UInt64, of most: UInt64, backends: Int64 = 0) -> DroneRow {
        func amount(_ count: UInt64) -> ResourceAmount {
            ResourceAmount(memoryBytes: need.memoryBytes * count, cpuMillis: need.cpuMillis * count)
        }
        return Values.droneRow(name, backends: backends, promised: amount(count), capacity: amount(most))
    }

    @Test("Every eligible drone is drawn first in time, under the session that was seen, with what it would promise")
    func draw() {
        var random = SeededGenerator(seed: 7)
        var drones: [KnownDrone] = (1...9).map { Values.known("dr-\($0)", session: Int64($0)) }
        drones[4].willingness = .draining(endAtMilliseconds: nil)
        drones[5].session = nil
        drones[6].isHeard = false
        var spawn = Values.spawn()
        spawn.executable.limits.memoryBytes = 1000
        var seen: Set<DroneName> = []
        for _ in 0..<200 {
            let placement = Placement.choose(cluster: Values.cluster(), spawn, among: drones, random: &random)
            guard case .candidates(let candidates, let refusal) = placement, let first = candidates.first else {
                Issue.record("nothing was drawn")
                return
            }
            #expect(candidates.count == 6)
            #expect(refusal.draining == 1 && refusal.silent == 2)
            #expect(first.drone.text == "dr-\(first.session)")
            #expect(first.promise == ResourceAmount(memoryBytes: 1000, cpuMillis: 2000))
            seen.insert(first.drone)
        }
        #expect(seen.count == 6)
    }

    @Test("The same seed draws the same")
    func replay() {
        let drones = (1...9).map { Values.known("dr-\($0)") }
        func draw() -> Placement {
            var random = SeededGenerator(seed: 3)
            return Placement.choose(cluster: Values.cluster(), Values.spawn(), among: drones, random: &random)
        }
        #expect(draw() == draw())
    }

    @Test("Of the first few with room the least loaded takes it; equally loaded ones by their number of backends")
    func leastLoaded() {
        var list = Placement.Shortlist(size: 2, refusal(3))
        #expect(list.add(candidate("dr-1"), row("dr-1", promised: 4, of: 4)) == .full)
        #expect(list.add(candidate("dr-2"), row("dr-2", promised: 3, of: 4)) == .fits)
        #expect(!list.isComplete)
        #expect(list.add(candidate("dr-3"), row("dr-3", promised: 2, of: 4)) == .fits)
        #expect(list.isComplete)
        #expect(list.best?.drone == Values.drone("dr-3"))
        var equal = Placement.Shortlist(size: 2, refusal(2))
        equal.add(candidate("dr-1"), row("dr-1", promised: 0, of: 4, backends: 2))
        equal.add(candidate("dr-2"), row("dr-2", promised: 0, of: 8, backends: 1))
        #expect(equal.best?.drone == Values.drone("dr-2"))
    }

    @Test("A drone is full when memory or processors would be promised beyond what it has")
    func room() {
        var row = row("dr-1", promised: 3, of: 4)
        #expect(row.hasRoom(for: need))
        row.promised.cpuMillis += 1
        #expect(!row.hasRoom(for: need))
        row.promised.cpuMillis -= 1
        row.promised.memoryBytes += 1
        #expect(!row.hasRoom(for: need))
    }

    @Test("What the rows say counts, not what was known: another session and draining rule out")
    func rowsDecide() {
        var list = Placement.Shortlist(size: 1, refusal(3))
        #expect(list.add(candidate("dr-1", session: 2), Values.droneRow("dr-1")) == .otherSession)
        #expect(list.isViewOld)
        #expect(list.add(candidate("dr-2"), nil) == .otherSession)
        let draining = Values.droneRow("dr-3", willingness: .draining(endAtMilliseconds: 5))
        #expect(list.add(candidate("dr-3"), draining) == .draining)
        #expect(list.best == nil)
        #expect(list.refusal.silent == 2 && list.refusal.draining == 1)
    }

    @Test("Full drones are counted, with what one would have had to promise")
    func fullSentence() {
        var list = Placement.Shortlist(size: 2, refusal(2))
        list.add(candidate("dr-1"), row("dr-1", promised: 4, of: 4))
        list.add(candidate("dr-2"), row("dr-2", promised: 4, of: 4))
        #expect(
            "\(list.refusal)"
                == "No drone can take the backend: of 2 known, 2 full (it needs 1 GiB of memory and 2 processors)")
    }

    @Test("An image that only a silent drone has is not unknown")
    func silentImage() {
        var random = SeededGenerator(seed: 1)
        let drones = [Values.known("dr-1", images: ["other"]), Values.known("dr-2", isHeard: false)]
        let placement = Placement.choose(cluster: Values.cluster(), Values.spawn(), among: drones, random: &random)
        guard case .none(let refusal) = placement else {
            Issue.record("it is \(placement)")
            return
        }
        #expect(refusal.silent == 1 && refusal.withoutImage == 1)
    }
}
