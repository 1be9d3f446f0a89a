import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// How sandboxes end: at their deadline, by themselves, or with the warden.
extension WardenServer {
    /// Sees to it that the loop wakes by then at the latest.
    func wakeBy(_ instant: BootInstant?) {
        guard let instant else { return }
        nextWake = min(nextWake ?? instant, instant)
    }

    /// Arms the timer for what is next, or soon where the kernel still holds a cgroup.
    func armTimer() throws(SystemError) {
        if !ending.isEmpty { wakeBy(BootInstant.now + .milliseconds(2)) }
        if nextWake != armedFor {
            try timer.arm(at: nextWake)
            armedFor = nextWake
        }
    }

    /// Kills what has reached its hard deadline or used up its processor time, without asking anybody.
    ///
    /// Deadlines only ever move forward, so it is enough to look at all of them when the nearest known one has come.
    func tick() throws(SystemError) {
        let now = BootInstant.now
        nextWake = nil
        armedFor = nil
        for record in records.values {
            switch try record.tick(now: now) {
            case .nothing: break
            case .killed(let why): WardenLog.write("\(record.backend): killed: \(why)")
            }
            wakeBy(record.nextWake)
        }
    }

    func processEnded(_ record: SandboxRecord) throws(SystemError) {
        try unwatch(record)
        try record.processEnded()
        ending.insert(record.backend)
    }

    /// Removes cgroups of ended sandboxes and reports those of which nothing is left.
    func removeRemains() throws(SystemError) {
        for backend in ending {
            guard let record = records[backend] else {
                ending.remove(backend)
                continue
            }
            if try record.removeRemains(on: &host), let exit = record.exit {
                ending.remove(backend)
                try reply(.exited(backend, exit))
            }
        }
    }

    /// The loop hears of the record's start or end.
    func watch(_ record: SandboxRecord) throws(SystemError) {
        guard let number = record.watched else { return }
        byDescriptor[number] = record
        try epoll.add(number, .readable, token: UInt64(UInt32(bitPattern: number)))
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
        guard !isEnding else { return }
        isEnding = true
        WardenLog.write("ending: kills \(records.values.count { $0.exit == nil }) sandboxes")
        pool.discardAll(on: &host)
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
