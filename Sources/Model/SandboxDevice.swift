/// A device of the host that a policy may let a sandbox have. Each is made to be shared by programs that do not trust each
/// other; there are no others.
public enum SandboxDevice: String, CaseIterable, Sendable {
    /// Virtual machines.
    case kvm
    /// Rendering and computing on the first graphics processor, without a screen.
    case render = "dri/renderD128"
    /// The same, the second.
    case secondRender = "dri/renderD129"
    /// The first processor of NVIDIA's driver.
    case nvidia = "nvidia0"
    /// The control device of NVIDIA's driver.
    case nvidiaControl = "nvidiactl"
    /// The memory device of NVIDIA's driver.
    case nvidiaMemory = "nvidia-uvm"

    /// Its path below /dev, on the host as inside.
    public var path: String { rawValue }
}
