import HTTP
import Linux
import Model

extension DronePorts {
    /// What the program gives a drone: one loop's clock and sockets, and the kernel's randomness.
    static func live(
        _ configuration: DroneConfiguration, loop: EventLoop, proxy: ProxyPort, log: @escaping (String) -> Void
    ) -> DronePorts {
        DronePorts(
            clock: loop,
            warden: { WardenClient(loop: loop, path: configuration.wardenSocketPath, onEvent: $0) },
            link: { ControllerLink(loop: loop, configuration, onEvent: $0) },
            proxy: proxy,
            readiness: { ReadinessWatch(loop: loop, $0, askSocket: $1, onOutcome: $2) },
            output: { output, name in
                do throws(SystemError) {
                    return try OutputReader(output, name: name, loop: loop, log: log)
                } catch {
                    log("\(name): its output cannot be read: \(error)")
                    return nil
                }
            },
            random: CurrentProcess.randomBytes, log: log)
    }
}
