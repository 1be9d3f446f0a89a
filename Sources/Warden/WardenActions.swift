import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// Doing what the ledger has decided.
extension WardenServer {
    func perform(_ actions: [WardenLedger.Action]) throws(SystemError) {
        for action in actions {
            switch action {
            case .launch(let request): try launch(request)
            case .moveGuard(let backend, let deadline): try records[backend]?.moveGuard(to: deadline)
            case .askToEnd(let backend): try records[backend]?.askToEnd()
            case .kill(let backend): try records[backend]?.kill()
            case .measure(let backend):
                let used = records[backend]?.usedMicroseconds ?? 0
                try perform(ledger.measured(backend, used: used, now: .now))
            case .makeSockets(let backend, let count): try makeSockets(backend, Int(count))
            case .reply(let answer): try reply(answer, descriptors: output(for: answer))
            case .discard(let backend): records[backend] = nil
            case .log(let backend, let line): WardenLog.write("\(backend): \(line)")
            }
        }
    }

    /// The reading end of the output of a sandbox that runs goes with what is told of it.
    private func output(for reply: WardenReply) -> [Int32] {
        switch reply {
        case .spawned(let backend): records[backend].map { [$0.output.raw] } ?? []
        case .listing(let listing) where listing.exit == nil: records[listing.backend].map { [$0.output.raw] } ?? []
        case .listing, .welcome, .refused, .exited, .sockets, .listed: []
        }
    }

    private func launch(_ request: SpawnRequest) throws(SystemError) {
        let backend = request.backend
        guard let image = library.image(request.image) else {
            let message = "there is no image \(request.image) here; there are: \(imageNames)"
            return try perform(ledger.startFailed(backend, message))
        }
        do { try start(image, request) } catch { try perform(ledger.startFailed(backend, "\(error)")) }
    }

    /// Begins a start; the loop goes on, and hears of its outcome.
    private func start(_ image: SandboxImage, _ request: SpawnRequest) throws {
        let tightened = try image.tightened(by: request.limits)
        let output = try Pipe()
        let null = try File.open("/dev/null", O_RDONLY)
        let environment = Self.environment(tightened.plan.environment, request.environment)
        pool.noteUse(of: image, on: &host)
        let made = try ready(image, tightened, request) ?? newlyMade(tightened, request.backend)
        let starting = try made.launch(
            environment: environment,
            .descriptors(input: null.raw, output: output.writing.raw, error: output.writing.raw),
            until: request.hardDeadline, on: &host)
        let (reading, writing) = output.split()
        close(writing)
        let record = SandboxRecord(request.backend, starting, output: Descriptor(owning: reading))
        do {
            try record.output.setNonblocking()
            try watch(record)
        } catch {
            record.discard(on: &host)
            throw error
        }
        records[request.backend] = record
        startingCount += 1
        ledger.launched(request.backend, budget: budget(of: tightened.plan), now: .now)
    }

    /// One that waits, if the request can be met by it: its writable layer and its processes' limits cannot be changed.
    private func ready(
        _ image: SandboxImage, _ tightened: SandboxImage, _ request: SpawnRequest
    ) throws(SandboxFailure) -> MadeSandbox? {
        guard request.limits.diskBytes == nil, request.limits.cpuTimeSeconds == nil,
            let made = pool.take(image, on: &host)
        else { return nil }
        if tightened !== image {
            do { try made.limit(to: tightened, on: host) } catch {
                made.discard(on: &host)
                throw error
            }
        }
        return made
    }

    private func newlyMade(_ image: SandboxImage, _ backend: BackendID) throws(SandboxFailure) -> MadeSandbox {
        if let blank = pool.takeBlank(on: &host) { return try blank.furnish(image, on: &host) }
        return try MadeSandbox.make(image, name: backend.text, on: &host)
    }

    private func budget(of plan: SandboxPlan) -> ProcessorBudget? {
        guard let seconds = plan.cpuTimeSeconds else { return nil }
        let online = Double(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let promised = Double(plan.cgroup.cpuQuotaMicroseconds) / Double(plan.cgroup.cpuPeriodMicroseconds)
        let isKept = !host.cgroup.missing.contains("cpu")
        return ProcessorBudget(limit: seconds * 1_000_000, processors: isKept ? min(promised, online) : online)
    }

    /// A start is decided.
    func settle(_ record: SandboxRecord) throws(SystemError) {
        try unwatch(record)
        startingCount -= 1
        do throws(SandboxFailure) { try record.settle(on: &host) } catch {
            return try perform(ledger.startFailed(record.backend, "\(error)"))
        }
        try watch(record)
        try perform(ledger.started(record.backend))
    }

    /// The image's variables and the request's, which win.
    static func environment(_ own: [String], _ added: [String]) -> [String] {
        var values: [Substring: String] = [:]
        for entry in own + added { values[entry.prefix { $0 != "=" }] = entry }
        return values.values.sorted()
    }

    private func makeSockets(_ backend: BackendID, _ count: Int) throws(SystemError) {
        guard let record = records[backend] else {
            return try reply(.sockets(backend, message: "no such backend"))
        }
        var made: [Int32] = []
        defer { made.forEach { close($0) } }
        do throws(SystemError) {
            for _ in 0..<count { made.append(try record.makeSocket(on: host).release()) }
        } catch { return try reply(.sockets(backend, message: "\(error)")) }
        try reply(.sockets(backend, message: nil), descriptors: made)
    }
}
