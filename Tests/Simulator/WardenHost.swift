import Drone
import HTTP
import Linux
import Model
import Warden
import WardenProtocol

/// A warden's process around the ledger that ships: what the ledger decides is done to the simulated kernel.
final class WardenHost {
    let process: SimulatedProcess
    private let machine: Machine
    private var connection: WardenConnection?
    private var records: [Record] = []
    private var timer: TimerToken?
    private var world: World { machine.site.world }

    /// STAND-IN until the ledger is there.
    private final class Record {
        let request: SpawnRequest
        let sandbox: Sandbox
        var hardDeadline: BootInstant
        var isSettled = false
        var askedToEnd: TerminationKind?
        var cause = SandboxExit.Cause.ended
        var exit: SandboxExit?
        init(_ request: SpawnRequest, _ sandbox: Sandbox) {
            self.request = request
            self.sandbox = sandbox
            hardDeadline = request.hardDeadline
        }
        var listing: ListedSandbox {
            ListedSandbox(
                sandbox: SandboxListing(
                    backend: request.backend, image: request.image, fencingToken: request.fencingToken,
                    hardDeadline: hardDeadline, note: request.note, exit: exit), output: nil)
        }
    }

    init(_ machine: Machine) {
        self.machine = machine
        process = SimulatedProcess(machine.site.world, "warden \(machine.index)", machine.clock)
    }

    func die() {
        process.die()
        connection?.close()
        connection = nil
    }

    /// A drone connects; the one before must not act any more.
    func accept(_ connection: WardenConnection) {
        self.connection?.close()
        self.connection = connection
        let welcome = WardenWelcome(
            version: WardenRequest.version, machine: machine.identity, missingControllers: [],
            images: [machine.site.offer])
        connection.sendToDrone(.connected(welcome, records.map(\.listing)))
    }

    func take(_ request: WardenRequest, from connection: WardenConnection) {
        guard self.connection === connection else { return }
        switch request {
        case .hello, .list: break
        case .sockets(let backend, _): connection.sendToDrone(.sockets(backend, [], message: nil))
        case .spawn(let request): spawn(request)
        case .extend(let deadlines):
            for item in deadlines {
                guard let record = record(item.backend), record.exit == nil else { continue }
                record.hardDeadline = max(record.hardDeadline, item.deadline)
                record.sandbox.arm(record.hardDeadline)
            }
            arm()
        case .terminate(let backend, let kind): if let record = record(backend) { end(record, kind, .terminated) }
        case .forget(let backend): records.removeAll { $0.request.backend == backend && $0.exit != nil }
        }
    }

    var recordCount: Int { records.count }

    private func record(_ backend: BackendID) -> Record? { records.first { $0.request.backend == backend } }

    private func spawn(_ request: SpawnRequest) {
        if record(request.backend) != nil { return }
        guard request.hardDeadline > process.now else {
            connection?.sendToDrone(.refused(request.backend, message: "too late"))
            return
        }
        let sandbox = machine.site.makeSandbox(on: machine, request)
        let record = Record(request, sandbox)
        records.append(record)
        machine.launch(sandbox)
        sandbox.onSettled = { [weak self, weak record] in
            self?.process.deliver { [weak self] in
                guard let self, let record, record.exit == nil else { return }
                record.isSettled = true
                connection?.sendToDrone(.spawned(request.backend, output: nil))
                if let kind = record.askedToEnd { end(record, kind, .terminated) }
            }
        }
        sandbox.onEnded = { [weak self, weak record] how in
            self?.world.after(200_000) { [weak self] in
                self?.process.deliver { [weak self] in
                    guard let self, let record else { return }
                    ended(record, how)
                }
            }
        }
        arm()
    }

    private func ended(_ record: Record, _ how: Sandbox.End) {
        guard record.exit == nil else { return }
        if !record.isSettled, record.askedToEnd == nil {
            records.removeAll { $0 === record }
            connection?.sendToDrone(.refused(record.request.backend, message: "ended while it was started"))
            return
        }
        let status: ExitStatus? =
            switch how {
            case .exited(let code): .exited(code: code)
            case .killed, .deadline: nil
            }
        let exit = SandboxExit(
            cause: how == .deadline ? .deadline : record.cause, status: status, outOfMemory: false, cpuMicroseconds: 0,
            memoryPeakBytes: 0)
        record.exit = exit
        machine.forget(record.sandbox)
        connection?.sendToDrone(.exited(record.request.backend, exit))
    }

    private func end(_ record: Record, _ kind: TerminationKind, _ cause: SandboxExit.Cause) {
        guard record.exit == nil else { return }
        if record.cause == .ended { record.cause = cause }
        record.askedToEnd = kind
        switch kind {
        case .soft: if record.isSettled { record.sandbox.terminateSoftly() }
        case .hard: record.sandbox.end(.killed)
        }
    }

    private func arm() {
        if let timer { process.cancel(timer) }
        guard let next = records.filter({ $0.exit == nil }).map(\.hardDeadline).min() else { return }
        timer = process.schedule(after: next - process.now) { [weak self] in
            guard let self else { return }
            if !world.defects.contains(.wardenKeepsNoDeadline) {
                for record in records where record.exit == nil && process.now >= record.hardDeadline {
                    end(record, .hard, .deadline)
                    record.hardDeadline = BootInstant(nanoseconds: .max)
                }
            }
            arm()
        }
    }
}
