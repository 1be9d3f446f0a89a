import Drone
import HTTP
import Linux
import Model

/// Asks a sandbox's command whether it is ready, without a socket: the kernel knows. Which sandbox it is shows in the
/// request for a socket that reaches the warden's port.
final class SimulatedReadiness: ReadinessPort {
    private let machine: Machine
    private let process: SimulatedProcess
    private let askSocket: () -> Void
    private let onOutcome: (ReadinessOutcome) -> Void
    private let warden: () -> SimulatedWardenPort?
    private var timer: TimerToken?

    init(
        _ machine: Machine, _ process: SimulatedProcess, _ warden: @escaping () -> SimulatedWardenPort?,
        askSocket: @escaping () -> Void, onOutcome: @escaping (ReadinessOutcome) -> Void
    ) {
        self.machine = machine
        self.process = process
        self.warden = warden
        self.askSocket = askSocket
        self.onOutcome = onOutcome
    }

    func start() { ask(after: .milliseconds(20)) }

    func stop() {
        if let timer { process.cancel(timer) }
        timer = nil
    }

    func give(_ socket: OwnedDescriptor) {}

    private func ask(after delay: Duration) {
        timer = process.schedule(after: delay) { [weak self] in
            guard let self else { return }
            timer = nil
            warden()?.socketsAskedFor = nil
            askSocket()
            if let backend = warden()?.socketsAskedFor, isReady(backend) { return onOutcome(.answered) }
            ask(after: min(delay * 2, .milliseconds(500)))
            onOutcome(.failed("nobody listened"))
        }
    }

    private func isReady(_ backend: BackendID) -> Bool {
        machine.sandboxes.contains { $0.backend == backend && $0.isRunning && $0.isReady }
    }
}
