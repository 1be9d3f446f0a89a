import Model
import Store
import Testing

@testable import Controller

/// What a connect comes to, case by case.
@Suite struct ConnectDecisionTests {
    private func decide(
        _ request: ConnectRequest, holder: BackendRow? = nil, isIDUsed: Bool = false,
        drones: [KnownDrone] = [Values.known("dr-1")], defaultCluster: ClusterName? = Values.cluster(),
        now: Int64 = 0
    ) -> ConnectDecision {
        var random = SeededGenerator(seed: 1)
        return ConnectDecision.decide(
            request, holder: holder, isIDUsed: isIDUsed, drones: DroneView(drones), defaultCluster: defaultCluster,
            nowMilliseconds: now, random: &random)
    }

    private func place(_ decision: ConnectDecision) -> (drones: [DroneName], cluster: ClusterName)? {
        guard case .spawn(let candidates, _, let cluster, _) = decision else { return nil }
        return (candidates.map(\.drone), cluster)
    }

    private let held = ConnectRequest(key: Values.key("k"))
    private let spawning = ConnectRequest(key: Values.key("k"), spawn: Values.spawn())

    @Test("A held key with the same tag is reused, whatever spawn_config says")
    func reuse() {
        let row = Values.row("b1")
        #expect(decide(held, holder: row) == .reuse(row))
        var other = spawning
        other.spawn?.cluster = Values.cluster("elsewhere")
        other.spawn?.executable.image = Values.image("other")
        #expect(decide(other, holder: row) == .reuse(row))
    }

    @Test("A held key with another tag is refused, also while its backend ends")
    func otherTag() {
        #expect(decide(held, holder: Values.row("b1", tag: "t")) == .refuse(.keyHeld(Values.backend("b1"))))
        #expect(
            decide(spawning, holder: Values.row("b1", tag: "t", .terminating))
                == .refuse(.keyHeld(Values.backend("b1"))))
    }

    @Test(
        "An ending backend is never handed out",
        arguments: [
            Values.row("b1", .terminating), Values.row("b1", .hardTerminating),
            Values.row("b1", .ready, end: DesiredEnd(kind: .soft, reason: .external)),
        ])
    func ending(_ row: BackendRow) {
        #expect(decide(spawning, holder: row) == .wait(.end(of: row.id)))
        #expect(decide(held, holder: row) == .refuse(.keyUnheld(ending: row.id)))
    }

    @Test("A backend whose drone is away is waited for, not handed out")
    func droneAway() {
        let row = Values.row("b1", on: "dr-2")
        #expect(decide(held, holder: row) == .wait(.drone(Values.drone("dr-2"), of: row.id)))
    }

    @Test("user and auth are refused where a static token cannot carry them")
    func staticToken() {
        let row = Values.row("b1", staticToken: BearerToken(random: Array(repeating: 1, count: 32), kind: .fixed))
        #expect(decide(held, holder: row) == .reuse(row))
        for request in [
            ConnectRequest(key: Values.key("k"), user: "ada"),
            ConnectRequest(key: Values.key("k"), auth: ["a": .null]),
        ] {
            guard case .refuse(.invalid(.value(let detail))) = decide(request, holder: row) else {
                Issue.record("it was not refused")
                continue
            }
            #expect(["user", "auth"].contains(detail.field))
        }
    }

    @Test("A free key without spawn_config, and nothing at all, are refused")
    func nothingToSpawn() {
        #expect(decide(held) == .refuse(.keyUnheld(ending: nil)))
        #expect(decide(ConnectRequest()) == .refuse(.keyUnheld(ending: nil)))
    }

    @Test("The cluster is the request's, else the default, else an error")
    func cluster() {
        #expect(decide(spawning, defaultCluster: nil) == .refuse(.noCluster))
        #expect(place(decide(spawning))?.drones == [Values.drone("dr-1")])
        #expect(place(decide(spawning))?.cluster == Values.cluster())
        var elsewhere = spawning
        elsewhere.spawn?.cluster = Values.cluster("elsewhere")
        let drones = [Values.known("dr-1"), Values.known("dr-2", cluster: Values.cluster("elsewhere"))]
        let found = place(decide(elsewhere, drones: drones))
        #expect(found?.drones == [Values.drone("dr-2")])
        #expect(found?.cluster == Values.cluster("elsewhere"))
    }

    @Test("An id that is in use is refused before anything is written")
    func usedID() {
        var request = spawning
        request.spawn?.id = Values.backend("b9")
        #expect(decide(request, isIDUsed: true) == .refuse(.idUsed(Values.backend("b9"))))
    }

    @Test("Nowhere to start is told with the condition that failed and on how many drones")
    func noDrone() {
        #expect(
            "\(Failure(.noDrone(Placement.NoDrone(cluster: Values.cluster(), pool: "", image: Values.image()))).message)"
                == "No drone is connected, so there is nowhere to start the backend.")
        let drones = [
            Values.known("dr-1", cluster: Values.cluster("x")), Values.known("dr-2", pool: "gpu"),
            Values.known("dr-3", pool: "gpu"), Values.known("dr-4", willingness: .draining(endAtMilliseconds: nil)),
            Values.known("dr-5", images: ["other"]),
        ]
        guard case .refuse(let refusal) = decide(spawning, drones: drones) else {
            Issue.record("it spawns")
            return
        }
        let failure = Failure(refusal)
        #expect(failure.kind == .noDroneAvailable)
        #expect(failure.status == 500)
        #expect(
            failure.message
                == "No drone can take the backend: of 5 known, 1 not in cluster localhost:9090, 2 not in pool \"\", "
                + "1 without the image python-repl, 1 draining.")
    }

    @Test("An image that no drone of the cluster and pool has is the request's mistake; the known ones are named")
    func unknownImage() {
        var request = spawning
        request.spawn?.executable.image = Values.image("nope")
        let drones = [
            Values.known("dr-1", images: ["b", "a"]), Values.known("dr-2", images: ["b"]),
            Values.known("dr-3", cluster: Values.cluster("x"), images: ["nope"]),
        ]
        guard case .refuse(let refusal) = decide(request, drones: drones) else {
            Issue.record("it spawns")
            return
        }
        #expect(refusal == .unknownImage(Values.image("nope"), known: [Values.image("a"), Values.image("b")]))
        let failure = Failure(refusal)
        #expect((failure.status, failure.kind) == (400, .invalidRequest))
        #expect(failure.message.contains("spawn_config.executable.image"))
        #expect(failure.message.contains("a, b"))
    }

    private func ceilings(lifetime: UInt64?) -> ResourceCeilings {
        var ceilings = Values.ceilings
        ceilings.lifetimeSeconds = lifetime
        return ceilings
    }

    @Test("A request that is beyond every drone's policy is refused with the field and both values")
    func beyondPolicy() {
        var request = spawning
        request.spawn?.lifetimeLimitSeconds = 7200
        let drones = [
            Values.known("dr-1", ceilings: ceilings(lifetime: 3600)), Values.known("dr-2", images: ["other"]),
            Values.known("dr-3", pool: "gpu"),
            Values.known("dr-4", ceilings: ceilings(lifetime: 60), willingness: .draining(endAtMilliseconds: nil)),
        ]
        guard case .refuse(let refusal) = decide(request, drones: drones) else {
            Issue.record("it spawns")
            return
        }
        let failure = Failure(refusal)
        #expect((failure.status, failure.kind) == (400, .invalidRequest))
        #expect(
            failure.message
                == "spawn_config.lifetime_limit_seconds: 7200 was asked for, but the image's policy allows 1 to 3600.")
    }

    @Test("A request goes to a drone whose policy allows it, and is no mistake while one such is only draining")
    func someDroneAllows() {
        var request = spawning
        request.spawn?.lifetimeLimitSeconds = 7200
        let tight = Values.known("dr-1", ceilings: ceilings(lifetime: 3600))
        let wide = Values.known("dr-2", ceilings: ceilings(lifetime: nil))
        #expect(place(decide(request, drones: [tight, wide]))?.drones == [Values.drone("dr-2")])
        var draining = wide
        draining.willingness = .draining(endAtMilliseconds: nil)
        guard case .refuse(.noDrone(let reasons)) = decide(request, drones: [tight, draining]) else {
            Issue.record("it is called a mistake")
            return
        }
        #expect(
            "\(reasons)"
                == "No drone can take the backend: of 2 known, 1 whose policy allows less than was asked for, "
                + "1 draining")
    }
}
