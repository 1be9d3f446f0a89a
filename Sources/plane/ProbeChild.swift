import Glibc
import Linux

/// A child that tries something and tells how it went; whatever it made in namespaces of its own goes with it.
enum ProbeChild {
    /// - Parameters:
    ///   - namespaces: which ones it gets fresh.
    ///   - work: runs in the child, which has nothing else.
    /// - Throws: what the clone or the child's work threw.
    static func run(_ namespaces: Namespaces, _ work: () throws(SystemError) -> Void) throws(SystemError) {
        let report = try Pipe()
        switch try Clone.process(namespaces: namespaces, cgroup: nil) {
        case .child:
            var text = ""
            do throws(SystemError) { try work() } catch { text = "\(error.code) \(error.call)" }
            // Through its owner: an owner that a branch does not use ends where the branch begins.
            _ = text.withCString { write(report.writing.raw, $0, strlen($0)) }
            CurrentProcess.exitImmediately(0)
        case .parent(_, let process):
            let (reading, writing) = report.split()
            _ = Descriptor(owning: writing)
            let text = String(decoding: try Descriptor(owning: reading).readAll(limit: 4096), as: UTF8.self)
            let status = try process.reap()
            guard status == .exited(code: 0) else { throw SystemError(ECHILD, "the child that tried it \(status)") }
            if text.isEmpty { return }
            let parts = text.split(separator: " ", maxSplits: 1)
            throw SystemError(Int32(parts[0]) ?? EIO, parts.count > 1 ? String(parts[1]) : "")
        }
    }

    /// A child that only waits to be killed.
    /// - Parameter cgroup: where it is born.
    static func idle(
        _ namespaces: Namespaces, cgroup: Int32?
    ) throws(SystemError) -> IdleChild {
        switch try Clone.process(namespaces: namespaces, cgroup: cgroup) {
        // A signal that nobody here sends would end the wait; the loop makes that impossible too.
        case .child: while true { pause() }
        case .parent(let pid, let process): return IdleChild(pid: pid, process: process)
        }
    }
}

/// A child that does nothing.
struct IdleChild: ~Copyable {
    let pid: Int32
    private let process: ProcessDescriptor

    init(pid: Int32, process: consuming ProcessDescriptor) {
        self.pid = pid
        self.process = process
    }

    /// Kills it and waits for its end.
    consuming func end() throws(SystemError) -> ExitStatus {
        try process.signal(SIGKILL)
        return try process.reap()
    }
}
