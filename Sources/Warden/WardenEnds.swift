import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// How sandboxes end: at their deadline, by themselves, or with the warden.
extension WardenServer {
    /// Arms the timer for the nearest deadline, or soon where the kernel still holds a cgroup.
    func armTimer() throws(SystemError) {
        var next = records.values.compactMap(\.pendingDeadline).min()
        if records.values.contains(where: \.hasRemains) {
            let soon = BootInstant.now + .milliseconds(2)
            next = min(next ?? soon, soon)
        }
        try timer.arm(at: next)
    }

    /// Kills what has reached its hard deadline, without asking anybody.
    func enforceDeadlines() throws(SystemError) {
        let now = BootInstant.now
        for record in records.values {
            guard let deadline = record.pendingDeadline, deadline <= now else { continue }
            WardenLog.write("\(record.backend): its lease's hard deadline has come; killed")
            try record.terminate(.hard, .deadline)
        }
    }

    func processEnded(_ backend: BackendID) throws(SystemError) {
        guard let record = records[backend], let process = record.processDescriptor else { return }
        try epoll.remove(process)
        byProcess[process] = nil
        try record.processEnded()
    }

    /// Removes cgroups of ended sandboxes and reports those of which nothing is left.
    func removeRemains() throws(SystemError) {
        for record in records.values where record.hasRemains {
            if try record.removeRemains(on: &host), let exit = record.exit {
                try reply(.exited(record.backend, exit))
            }
        }
    }

    func received(_ signal: Int32) throws(SystemError) {
        if signal == SIGHUP {
            library.reload()
            WardenLog.write("policies and images were read again: \(imageNames)")
            return
        }
        guard !isEnding else { return }
        isEnding = true
        WardenLog.write("ending: kills \(records.values.count { $0.exit == nil }) sandboxes")
        for record in records.values { try record.terminate(.hard, .terminated) }
    }

    /// Removes what a killed warden left on this state folder: cgroups, with whatever is in them, and the socket.
    /// - Throws: a sentence, also when a warden serves the folder.
    public static func clean(_ configuration: WardenConfiguration) throws(WardenRefusal) {
        do throws(SystemError) {
            guard let lock = try File.lock(configuration.runPath + "/warden.lock") else {
                throw SystemError(EBUSY, "a plane-warden serves \(configuration.statePath)")
            }
            let cgroup = try HostCgroup(name: configuration.cgroupName)
            try cgroup.removeLeftovers { _ in true }
            cgroup.remove()
            unlink(configuration.socketPath)
            _ = consume lock
        } catch { throw WardenRefusal("cannot clean: \(error)") }
    }
}
