import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// How sandboxes end: at their deadline, by themselves, or with the warden.
extension WardenServer {
    /// Arms the timer for what is next, or soon where the kernel still holds a cgroup.
    func armTimer() throws(SystemError) {
        var next = ledger.nextWake
        if !ending.isEmpty {
            let soon = BootInstant.now + .milliseconds(2)
            next = min(next ?? soon, soon)
        }
        if next != armedFor {
            try timer.arm(at: next)
            armedFor = next
        }
    }

    /// Kills what has reached its hard deadline or used up its processor time, without asking anybody.
    func tick() throws(SystemError) {
        timer.drain()
        armedFor = nil
        // After a pause of this process, not of the drone's, renewals wait behind other requests. What waits in a socket is
        // some hundred packets at most, and each sandbox's own guard keeps its deadline meanwhile.
        for _ in 0..<8 where ledger.isDeadlineDue(now: .now) {
            guard let drone else { break }
            try serve(drone)
        }
        try perform(ledger.tick(now: .now))
    }

    func processEnded(_ record: SandboxRecord) throws(SystemError) {
        try unwatch(record)
        guard let end = try record.processEnded() else { return }
        try perform(ledger.processEnded(record.backend, end))
        ending.insert(record.backend)
    }

    /// Removes cgroups of ended sandboxes and reports those of which nothing is left.
    func removeRemains() throws(SystemError) {
        for backend in ending {
            guard let record = records[backend] else {
                ending.remove(backend)
                continue
            }
            if try record.removeRemains(on: &host) {
                ending.remove(backend)
                try perform(ledger.cleared(backend))
            }
        }
    }

    /// The loop hears of the record's start or end.
    func watch(_ record: SandboxRecord) throws(SystemError) {
        guard let number = record.watched else { return }
        try epoll.add(number, .readable, token: UInt64(UInt32(bitPattern: number)))
        byDescriptor[number] = record
    }

    /// To be called before the descriptor is closed.
    func unwatch(_ record: SandboxRecord) throws(SystemError) {
        guard let number = record.watched else { return }
        try epoll.remove(number)
        byDescriptor[number] = nil
    }

    func received(_ signal: Int32) throws(SystemError) {
        if signal == SIGHUP {
            library.reload()
            WardenLog.write("policies and images were read again: \(imageNames)")
            return
        }
        guard !ledger.isEnding else { return }
        WardenLog.write("ending: kills \(ledger.livingCount) sandboxes")
        pool.discardAll(on: &host)
        try perform(ledger.stop())
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
