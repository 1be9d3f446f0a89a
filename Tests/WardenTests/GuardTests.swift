import Glibc
import Linux
import Model
import TestPrograms
import Testing
import WardenProtocol

/// What holds when the warden itself does nothing, and whose sandboxes it says it speaks for.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root"))
struct GuardTests {
    @Test(
        "A stopped warden cannot let a sandbox outlive its deadline, and tells of its end once it goes on",
        arguments: ["exec sleep 300", "while :; do (:&); done", "trap '' TERM INT HUP; while :; do :; done"])
    func stoppedWarden(_ command: String) throws {
        let site = try WardenSite(command: command)
        _ = try site.greet()
        let backend = try BackendID("guarded")
        let deadline = BootInstant.now + .seconds(2)
        try site.spawn("guarded", lifetime: .seconds(1))
        #expect(try site.receive() == .spawned(backend))
        let output = try site.takeDescriptor()
        // Moved, and then asked for something, so that the warden has done it before it is stopped.
        try site.send(.extend([BackendDeadline(backend: backend, deadline: deadline)]))
        try site.send(.list)
        guard case .listing(let listing) = try site.receive() else { return #expect(Bool(false), "no listing") }
        #expect(listing.hardDeadline == deadline)
        #expect(try site.receive() == .listed)
        site.received.forEach { close($0) }
        site.received = []
        try site.pause()
        // Its processes hold the writing end: the end of file is the end of the last of them.
        let text = try? WardenSite.text(of: output)
        #expect(BootInstant.now >= deadline)
        try site.resume()
        #expect(text == "", "it still runs")
        guard case .exited(backend, let exit) = try site.receive() else { return #expect(Bool(false), "no exit") }
        #expect(exit.cause == .deadline)
        #expect(exit.status == nil)
    }

    @Test("Sandboxes that are kept ready have no deadline, and get that of the request they are launched for")
    func keptReady() throws {
        let site = try WardenSite(command: "echo up; exec sleep 300", pool: 2)
        _ = try site.greet()
        for name in ["first", "second", "third"] {
            let deadline = BootInstant.now + .milliseconds(700)
            try site.spawn(name, lifetime: .milliseconds(700))
            #expect(try site.receive() == .spawned(try BackendID(name)))
            let output = try site.takeDescriptor()
            #expect(try WardenSite.line(of: output) == "up\n")
            try site.pause()
            let text = try? WardenSite.text(of: output)
            try site.resume()
            #expect(text == "")
            #expect(BootInstant.now >= deadline)
            guard case .exited(_, let exit) = try site.receive() else { return #expect(Bool(false), "no exit") }
            #expect(exit.cause == .deadline)
        }
    }

    @Test("Of a sandbox that waits for its launch only the init has the timer that it ends by")
    func timerIsTheInitsAlone() throws {
        let site = try WardenSite(command: "exec sleep 300", pool: 2)
        _ = try site.greet()
        try site.spawn("first")
        #expect(try site.receive() == .spawned(try BackendID("first")))
        let folder = try #require(try site.cgroupFolder())
        let limit = BootInstant.now + .seconds(20)
        while try !Self.areAloneWithTimers(folder) {
            try #require(BootInstant.now < limit, "another process than the init has it")
            // Nothing tells how far a sandbox is in its making.
            poll(nil, 0, 5)
        }
    }

    /// Whether there are the launched sandbox and four that wait, of two processes each, of which one has a timer.
    private static func areAloneWithTimers(_ folder: String) throws -> Bool {
        let sandboxes = try File.names(in: folder).filter { $0.hasPrefix("ready-") }
        guard sandboxes.count == 5 else { return false }
        return try sandboxes.allSatisfy { name in
            let processes = try File.readText("\(folder)/\(name)/cgroup.procs").split(separator: "\n")
            let holders = try processes.filter { process in
                try File.names(in: "/proc/\(process)/fd").contains { number in
                    (try? target(of: "/proc/\(process)/fd/\(number)")) == "anon_inode:[timerfd]"
                }
            }
            return processes.count == 2 && holders.count == 1
        }
    }

    private static func target(of link: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = readlink(link, &buffer, buffer.count)
        guard count >= 0 else { throw SystemError(errno, "readlink \(link)") }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test(
        "A warden names its boot and state folder: the same after a restart, another for another folder, path or copy")
    func machineIdentity() throws {
        let site = try WardenSite(command: "exec sleep 300", pool: 0)
        let other = try WardenSite(command: "exec sleep 300", pool: 0)
        let machine = try #require(try site.greet()).machine
        let boot = try File.readText("/proc/sys/kernel/random/boot_id").prefix { $0 != "\n" }
        #expect(machine.text.hasPrefix(boot + "-"))
        #expect(try #require(try other.greet()).machine != machine)
        try site.kill()
        try site.restart()
        #expect(try site.greet()?.machine == machine)

        // What an earlier warden left is looked for by the folder's path.
        try site.kill()
        try site.restart(at: site.state + "/../state")
        #expect(try #require(try site.greet()).machine != machine)

        // What tells folders apart is carried along with a copy, and yet the copy is another one.
        try other.kill()
        let (copied, _, errors) = try Program.run([
            "/bin/cp", "-a", site.state + "/machine", other.state + "/machine",
        ])
        try #require(copied == .exited(code: 0), "\(errors)")
        try other.restart()
        #expect(try #require(try other.greet()).machine != machine)
    }

    @Test("A warden does not start on an identity that others could have written")
    func foreignIdentity() throws {
        let site = try WardenSite(command: "exec sleep 300", pool: 0)
        _ = try site.greet()
        try site.kill()
        let file = site.state + "/machine"
        let spoil: [(String, [String])] = [
            ("only root can write", ["/bin/chmod", "666", file]),
            ("not an id", ["/bin/sh", "-c", "chmod 600 \(file); echo >> \(file)"]),
            ("open", ["/bin/ln", "-sf", "/etc/hostname", file]),
        ]
        for (sentence, words) in spoil {
            _ = try Program.run(words)
            let (status, _, errors) = try Program.run([
                Program.built("plane-warden"), "serve", "--state", site.state, "--allow-missing-controllers",
            ])
            #expect(status == .exited(code: 1))
            #expect(errors.contains(file) && errors.contains(sentence), "\(errors)")
        }
        unlink(file)
        try site.restart()
        #expect(try site.greet() != nil)
    }
}
