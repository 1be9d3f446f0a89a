import CLinux
import Glibc
import Linux

/// A child of the warden that makes network namespaces ahead of time, each with its loopback interface up and nothing else
/// in it. Making one takes longer than all the rest of a sandbox, and takes it on another processor.
///
/// The namespaces belong to the host's user namespace: not even a sandbox's root has any power over its own.
final class NetworkMaker {
    private let socket: Descriptor
    private let process: ProcessDescriptor
    private let supply: Supply

    /// How many namespaces there will be.
    enum Supply {
        /// As many as are taken, and so many kept ready: about 220 KiB of kernel memory each (measured).
        case steady(ahead: Int)
        /// One.
        case single
    }

    /// Starts the maker.
    init(_ supply: Supply) throws(SystemError) {
        let pair = try Socket.packetPair()
        switch try Clone.process(namespaces: [], cgroup: nil) {
        case .child: Self.run(pair.theirs.raw)
        case .parent(_, let process):
            let (mine, theirs) = pair.split()
            close(theirs)
            socket = Descriptor(owning: mine)
            self.process = process
            self.supply = supply
        }
        switch supply {
        case .steady(let ahead): for _ in 0..<max(1, ahead) { try ask() }
        case .single: try ask()
        }
    }

    deinit {
        _ = try? process.signal(SIGKILL)
        _ = try? process.reap()
    }

    private func ask() throws(SystemError) {
        _ = try Socket.sendPacket(socket.raw, [1])
    }

    /// A namespace that nothing was ever in. Waits for one when none is ready.
    func take() throws(SystemError) -> Descriptor {
        let packet = try Socket.receivePacket(socket.raw, capacity: 8)
        guard let packet, let made = packet.descriptors.first else {
            let code = packet.map { $0.bytes.isEmpty ? EPIPE : Int32($0.bytes[0]) } ?? EPIPE
            throw SystemError(code, "the maker of network namespaces: unshare CLONE_NEWNET")
        }
        switch supply {
        case .steady: try ask()
        case .single: try process.signal(SIGKILL)
        }
        return Descriptor(owning: made)
    }

    /// The maker's life: one namespace for each packet, until the warden is gone.
    private static func run(_ socket: Int32) -> Never {
        do throws(SystemError) {
            try CurrentProcess.setParentDeathSignal(SIGKILL)
            // Whatever the warden had open is not this process's business.
            let kept: Int32 = 3
            if socket != kept, dup2(socket, kept) < 0 { throw SystemError(errno, "dup2") }
            try Descriptor.closeAll(in: UInt32(kept) + 1...UInt32.max)
            let home = try File.open("/proc/self/ns/net", O_RDONLY)
            while let packet = try Socket.receivePacket(kept, capacity: 1), !packet.bytes.isEmpty {
                do throws(SystemError) {
                    let made = try make()
                    // Else the last one would live on as long as this process waits.
                    try Namespaces.enter(home, .network)
                    _ = try Socket.sendPacket(kept, [0], descriptors: [made.raw])
                } catch {
                    _ = try Socket.sendPacket(kept, [UInt8(clamping: error.code)])
                }
            }
        } catch {}
        CurrentProcess.exitImmediately(0)
    }

    private static func make() throws(SystemError) -> Descriptor {
        try Namespaces.unshare(.network)
        let socket = try Socket.tcp()
        let up = plane_interface_up(socket.raw, "lo")
        if up < 0 { throw SystemError(Int32(-up), "ioctl SIOCSIFFLAGS lo") }
        return try File.open("/proc/self/ns/net", O_RDONLY)
    }
}
