public import Linux
import Model

/// A sandbox of an image that only waits for its launch. A warden keeps some of these ready.
public struct MadeSandbox: ~Copyable {
    private let blank: BlankSandbox

    init(_ blank: consuming BlankSandbox) { self.blank = blank }

    /// Makes one from nothing.
    /// - Parameters:
    ///   - image: what the sandbox is.
    ///   - name: names the cgroup; no other sandbox of this host has it.
    public static func make(
        _ image: SandboxImage, name: String, on host: inout SandboxHost
    ) throws(SandboxFailure) -> MadeSandbox {
        let blank = try BlankSandbox.make(name: name, on: &host)
        return try blank.furnish(image, on: &host)
    }

    /// Changes its limits while it waits.
    public borrowing func limit(to image: SandboxImage, on host: borrowing SandboxHost) throws(SandboxFailure) {
        try step(.cgroup) { () throws(SystemError) in try host.cgroup.write(image.settings, to: blank.sandbox.cgroup) }
    }

    /// Lets the command be exec'ed.
    /// - Parameters:
    ///   - environment: `NAME=VALUE`, complete.
    ///   - streams: the command's; descriptors stay the caller's.
    ///   - deadline: when the sandbox ends by itself; nil for never.
    public consuming func launch(
        environment: [String], _ streams: SandboxStreams, until deadline: BootInstant?, on host: inout SandboxHost
    ) throws(SandboxFailure) -> StartingSandbox {
        let order = LaunchOrder(environment: environment, streams: streams).packet
        do {
            // Before the command can run: from then on nobody may be there to arm it.
            if let deadline {
                try step(.handshake) { () throws(SystemError) in try blank.sandbox.armGuard(at: deadline) }
            }
            try blank.send(order.bytes, order.descriptors)
        } catch {
            let cause = StartingSandbox.failureTold(on: blank.orders)
            discard(on: &host)
            throw cause ?? error
        }
        return blank.release()
    }

    /// Lets it go without a launch; waits until nothing of it is left.
    public consuming func discard(on host: inout SandboxHost) { blank.discard(on: &host) }

    /// Whether it can be launched: it has neither ended nor failed.
    public borrowing func isWaiting() -> Bool { blank.isWaiting() }

    /// As a blank one's.
    public borrowing func privateBytes() -> UInt64 { blank.privateBytes() }
}
