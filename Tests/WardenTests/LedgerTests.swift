import Linux
import Model
import Testing
import Warden
import WardenProtocol

/// What a warden decides, without a kernel.
struct LedgerTests {
    private static let start = BootInstant(nanoseconds: 1_000_000_000_000)
    private static let one = BackendID(random: [UInt8](repeating: 0, count: 14))

    private static func moment(_ seconds: Double) -> BootInstant { start + .seconds(seconds) }

    private static func request(_ name: String = one.text, until seconds: Double = 50) throws -> SpawnRequest {
        SpawnRequest(
            backend: try BackendID(name), image: try ImageName("busybox"), environment: [], limits: ResourceLimits(),
            hardDeadline: moment(seconds), fencingToken: FencingToken(7), note: [1])
    }

    /// A ledger with one sandbox that runs until second 50.
    private static func running(budget: ProcessorBudget? = nil) throws -> WardenLedger {
        var ledger = WardenLedger()
        let request = try request()
        #expect(ledger.requested(.spawn(request), now: start) == [.launch(request)])
        ledger.launched(one, budget: budget, now: start)
        #expect(ledger.started(one) == [.reply(.spawned(one))])
        return ledger
    }

    private static func extend(_ seconds: Double) -> WardenRequest {
        .extend([BackendDeadline(backend: one, deadline: moment(seconds))])
    }

    private static func exit(of actions: [WardenLedger.Action]) throws -> SandboxExit {
        for case .reply(.exited(_, let exit)) in actions { return exit }
        throw LedgerSurprise(actions: actions)
    }

    private struct LedgerSurprise: Error { let actions: [WardenLedger.Action] }

    @Test("A sandbox is started, ends, is told of until the drone says that it knows, and is then forgotten")
    func wholeLife() throws {
        var ledger = try Self.running()
        #expect(ledger.livingCount == 1)
        #expect(ledger.nextWake.map { $0 <= Self.moment(50) } == true)
        #expect(ledger.processEnded(Self.one, SandboxEnd(.command(.exited(code: 3)))) == [])
        #expect(ledger.livingCount == 1)
        let exit = try Self.exit(of: ledger.cleared(Self.one))
        #expect(exit.status == .exited(code: 3))
        #expect(exit.cause == .ended)
        #expect(ledger.livingCount == 0)
        let listing = SandboxListing(
            backend: Self.one, image: try ImageName("busybox"), fencingToken: FencingToken(7),
            hardDeadline: Self.moment(50), note: [1], exit: exit)
        #expect(ledger.requested(.list, now: Self.start) == [.reply(.listing(listing)), .reply(.listed)])
        #expect(ledger.requested(.forget(Self.one), now: Self.start) == [.discard(Self.one)])
        #expect(ledger.requested(.list, now: Self.start) == [.reply(.listed)])
        #expect(ledger.tick(now: Self.moment(1000)) == [])
        #expect(ledger.nextWake == nil)
    }

    @Test("A sandbox is killed at its hard deadline, once, and the cause stays the deadline")
    func deadline() throws {
        var ledger = try Self.running()
        #expect(ledger.tick(now: Self.moment(49.9)) == [])
        #expect(ledger.nextWake == Self.moment(50))
        #expect(!ledger.isDeadlineDue(now: Self.moment(49.9)))
        #expect(ledger.isDeadlineDue(now: Self.moment(50)))
        #expect(ledger.tick(now: Self.moment(50)).contains(.kill(Self.one)))
        #expect(ledger.tick(now: Self.moment(51)) == [])
        #expect(ledger.nextWake == nil)
        #expect(ledger.requested(.terminate(Self.one, .hard), now: Self.moment(51)) == [])
        _ = ledger.processEnded(Self.one, SandboxEnd(.killed))
        #expect(try Self.exit(of: ledger.cleared(Self.one)).cause == .deadline)
    }

    @Test("Without its deadlines a warden kills nothing by itself: the simulator's defect is one")
    func defect() throws {
        var ledger = WardenLedger()
        ledger.defects = .wardenKeepsNoDeadline
        guard case .launch(let request) = ledger.requested(.spawn(try Self.request()), now: Self.start).first else {
            Issue.record("no launch")
            return
        }
        #expect(request.hardDeadline == BootInstant(nanoseconds: .max))
        _ = ledger.started(Self.one)
        #expect(ledger.tick(now: Self.moment(10_000)) == [])
    }

    @Test("A sandbox that its own guard has ended has the deadline for its cause, unless it was to end anyway")
    func ownGuard() throws {
        var ledger = try Self.running()
        _ = ledger.processEnded(Self.one, SandboxEnd(.deadline))
        #expect(try Self.exit(of: ledger.cleared(Self.one)).cause == .deadline)
        ledger = try Self.running()
        #expect(ledger.requested(.terminate(Self.one, .soft), now: Self.start) == [.askToEnd(Self.one)])
        _ = ledger.processEnded(Self.one, SandboxEnd(.deadline))
        #expect(try Self.exit(of: ledger.cleared(Self.one)).cause == .terminated)
    }

    @Test("Deadlines move forward and never back, within what a warden grants, and the guard with them")
    func extends() throws {
        var ledger = try Self.running()
        #expect(ledger.requested(Self.extend(70), now: Self.start) == [.moveGuard(Self.one, to: Self.moment(70))])
        #expect(ledger.requested(Self.extend(60), now: Self.start) == [])
        #expect(ledger.tick(now: Self.moment(69)) == [])
        let most = Self.moment(69) + WardenRequest.deadlineAheadMax
        #expect(ledger.requested(Self.extend(1e6), now: Self.moment(69)) == [.moveGuard(Self.one, to: most)])
        // One that was read late, when the deadline had come and was not enforced yet, still counts: it was sent in time.
        ledger = try Self.running()
        #expect(ledger.isDeadlineDue(now: Self.moment(52)))
        _ = ledger.requested(Self.extend(60), now: Self.moment(52))
        #expect(!ledger.isDeadlineDue(now: Self.moment(52)))
        #expect(ledger.tick(now: Self.moment(52)) == [])
        // One that comes after the kill changes nothing.
        #expect(ledger.tick(now: Self.moment(60)).contains(.kill(Self.one)))
        #expect(ledger.requested(Self.extend(90), now: Self.moment(60)) == [])
    }

    @Test("What is asked of a sandbox that is being started is done once its start is decided")
    func askedWhileStarting() throws {
        for (kind, now, later) in [
            (TerminationKind.soft, [], [.askToEnd(Self.one), .reply(.spawned(Self.one))]),
            (.hard, [.kill(Self.one)], [.kill(Self.one), .reply(.spawned(Self.one))]),
        ] as [(TerminationKind, [WardenLedger.Action], [WardenLedger.Action])] {
            var ledger = WardenLedger()
            _ = ledger.requested(.spawn(try Self.request()), now: Self.start)
            #expect(ledger.requested(.terminate(Self.one, kind), now: Self.start) == now)
            #expect(ledger.started(Self.one) == later)
            #expect(ledger.started(Self.one) == [])
        }
    }

    @Test("A start that takes too long, or goes past the deadline, is killed")
    func slowStart() throws {
        var ledger = WardenLedger(startPatience: .seconds(20))
        _ = ledger.requested(.spawn(try Self.request()), now: Self.start)
        #expect(ledger.nextWake == Self.moment(20))
        #expect(ledger.tick(now: Self.moment(20)).contains(.kill(Self.one)))
        ledger = WardenLedger(startPatience: .seconds(20))
        _ = ledger.requested(.spawn(try Self.request(until: 5)), now: Self.start)
        #expect(ledger.tick(now: Self.moment(5)).contains(.kill(Self.one)))
        _ = ledger.started(Self.one)
        _ = ledger.processEnded(Self.one, SandboxEnd(.killed))
        #expect(try Self.exit(of: ledger.cleared(Self.one)).cause == .deadline)
    }

    @Test("A request that comes twice starts one sandbox; one that comes too late, or at the warden's end, none")
    func refusals() throws {
        var ledger = try Self.running()
        #expect(ledger.requested(.spawn(try Self.request()), now: Self.start) == [])
        let late = ledger.requested(.spawn(try Self.request("late", until: 0)), now: Self.start)
        guard case .reply(.refused(_, let message)) = late.first else {
            Issue.record("\(late)")
            return
        }
        #expect(message.contains("lease"))
        #expect(ledger.stop() == [.kill(Self.one)])
        #expect(ledger.isEnding)
        let refused = ledger.requested(.spawn(try Self.request("two")), now: Self.start)
        #expect(refused == [.reply(.refused(try BackendID("two"), message: "the warden is ending"))])
    }

    @Test("A failed start is refused with its reason, and the id is free")
    func failedStart() throws {
        var ledger = WardenLedger()
        let request = try Self.request()
        _ = ledger.requested(.spawn(request), now: Self.start)
        #expect(ledger.startFailed(Self.one, "no room").contains(.reply(.refused(Self.one, message: "no room"))))
        #expect(ledger.requested(.list, now: Self.start) == [.reply(.listed)])
        #expect(ledger.requested(.spawn(request), now: Self.start) == [.launch(request)])
    }

    @Test("Sockets are made for what runs only, and only an ended sandbox can be forgotten")
    func sockets() throws {
        var ledger = WardenLedger()
        let ask = WardenRequest.sockets(Self.one, count: 2)
        func isRefusal(_ actions: [WardenLedger.Action]) -> Bool {
            if case .reply(.sockets(_, .some)) = actions.first { actions.count == 1 } else { false }
        }
        #expect(isRefusal(ledger.requested(ask, now: Self.start)))
        _ = ledger.requested(.spawn(try Self.request()), now: Self.start)
        #expect(isRefusal(ledger.requested(ask, now: Self.start)))
        _ = ledger.started(Self.one)
        #expect(ledger.requested(ask, now: Self.start) == [.makeSockets(Self.one, count: 2)])
        #expect(ledger.requested(.forget(Self.one), now: Self.start) == [])
        _ = ledger.processEnded(Self.one, SandboxEnd(.killed))
        #expect(isRefusal(ledger.requested(ask, now: Self.start)))
        #expect(ledger.requested(.forget(Self.one), now: Self.start) == [])
    }

    @Test("Processor time is looked at when it can have run out, and what has used it up is killed")
    func budget() throws {
        var ledger = try Self.running(budget: ProcessorBudget(limit: 10_000_000, processors: 2))
        #expect(ledger.nextWake == Self.start)
        #expect(ledger.tick(now: Self.start) == [.measure(Self.one)])
        #expect(ledger.measured(Self.one, used: 0, now: Self.start) == [])
        #expect(ledger.nextWake == Self.moment(5))
        #expect(ledger.tick(now: Self.moment(5)) == [.measure(Self.one)])
        #expect(ledger.measured(Self.one, used: 10_000_000, now: Self.moment(5)).first == .kill(Self.one))
        _ = ledger.processEnded(Self.one, SandboxEnd(.killed))
        #expect(try Self.exit(of: ledger.cleared(Self.one)).cause == .cpuTime)
    }
}
