import Glibc
import Linux
import Model
import Testing
import WardenProtocol

/// What a drone can ask of a real warden, over the real socket.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root"))
struct WardenTests {
    @Test("A drone greets, starts a sandbox, reads its output and hears of its end")
    func wholeStory() throws {
        let site = try WardenSite(command: "echo $GREETING; exit 4")
        let welcome = try #require(try site.greet())
        #expect(welcome.images.map(\.image.text) == ["busybox"])
        #expect(welcome.images.first?.port == 8080)

        try site.spawn("one", environment: ["GREETING=hello"])
        #expect(try site.receive() == .spawned(try BackendID("one")))
        let output = try site.takeDescriptor()
        guard case .exited(let backend, let exit) = try site.receive() else { return #expect(Bool(false), "no exit") }
        #expect(backend.text == "one")
        #expect(exit.status == .exited(code: 4))
        #expect(exit.cause == .ended)

        // It is told again until the drone says that it knows.
        try site.send(.list)
        guard case .listing(let listing) = try site.receive() else { return #expect(Bool(false), "no listing") }
        #expect(listing.exit == exit)
        #expect(try site.receive() == .listed)
        try site.send(.forget(backend))
        try site.send(.list)
        #expect(try site.receive() == .listed)

        // The warden's own copy of the reading end is gone too by now, so the text has an end.
        #expect(try WardenSite.text(of: output) == "hello\n")
    }

    @Test("A sandbox is killed at its hard deadline although the drone is silent")
    func enforcesDeadlines() throws {
        let site = try WardenSite(command: "exec sleep 300")
        _ = try site.greet()
        try site.spawn("short", lifetime: .milliseconds(400))
        #expect(try site.receive() == .spawned(try BackendID("short")))
        guard case .exited(_, let exit) = try site.receive() else { return #expect(Bool(false), "no exit") }
        #expect(exit.cause == .deadline)
    }

    @Test("A deadline moves forward and never back")
    func extendsDeadlines() throws {
        let site = try WardenSite(command: "exec sleep 300")
        _ = try site.greet()
        let backend = try BackendID("kept")
        try site.spawn("kept", lifetime: .seconds(20))
        #expect(try site.receive() == .spawned(backend))
        let later = BootInstant.now + .seconds(60)
        try site.send(.extend([BackendDeadline(backend: backend, deadline: later)]))
        try site.send(.extend([BackendDeadline(backend: backend, deadline: .now)]))
        try site.send(.list)
        guard case .listing(let listing) = try site.receive() else { return #expect(Bool(false), "no listing") }
        #expect(listing.hardDeadline == later)
    }

    @Test("No word of a drone keeps a sandbox for longer than the longest lease")
    func boundsDeadlines() throws {
        let site = try WardenSite(command: "exec sleep 300")
        _ = try site.greet()
        let backend = try BackendID("forever")
        try site.spawn("forever", lifetime: .seconds(1_000_000))
        #expect(try site.receive() == .spawned(backend))
        let extended = BackendDeadline(backend: backend, deadline: BootInstant(nanoseconds: .max))
        try site.send(.extend([extended]))
        try site.send(.list)
        guard case .listing(let listing) = try site.receive() else { return #expect(Bool(false), "no listing") }
        #expect(listing.hardDeadline <= .now + WardenRequest.deadlineAheadMax)
    }

    @Test("A socket reaches the port inside, and nothing of the host's")
    func socketsReachInside() throws {
        let site = try WardenSite(command: "echo inside | nc -l -p 8080")
        _ = try site.greet()
        let backend = try BackendID("server")
        try site.spawn("server")
        #expect(try site.receive() == .spawned(backend))
        let deadline = BootInstant.now + .seconds(20)
        while true {
            try site.send(.sockets(backend, count: 1))
            #expect(try site.receive() == .sockets(backend, message: nil))
            let socket = Descriptor(owning: try site.takeDescriptor())
            _ = try? Socket.connect(socket.raw, to: .loopback(8080))
            var watch = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
            poll(&watch, 1, 2000)
            var buffer = [UInt8](repeating: 0, count: 64)
            let count = read(socket.raw, &buffer, buffer.count)
            if count > 0 {
                #expect(String(decoding: buffer[..<count], as: UTF8.self) == "inside\n")
                return
            }
            try #require(BootInstant.now < deadline, "the port inside does not answer")
        }
    }

    @Test("A new drone finds what runs, with its output and its note, and can end it")
    func isAdopted() throws {
        let site = try WardenSite(command: "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        _ = try site.greet()
        let backend = try BackendID("adopted")
        try site.spawn("adopted", note: [1, 2, 3])
        #expect(try site.receive() == .spawned(backend))
        site.received.forEach { close($0) }
        site.received = []

        try site.reconnect()
        _ = try site.greet()
        try site.send(.list)
        guard case .listing(let listing) = try site.receive() else { return #expect(Bool(false), "no listing") }
        #expect(listing.note == [1, 2, 3])
        #expect(listing.fencingToken == FencingToken(7))
        #expect(listing.exit == nil)
        #expect(try site.receive() == .listed)
        let output = try site.takeDescriptor()
        var watch = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        #expect(poll(&watch, 1, 20_000) == 1)

        try site.send(.terminate(backend, .soft))
        guard case .exited(_, let exit) = try site.receive() else { return #expect(Bool(false), "no exit") }
        #expect(exit.status == .exited(code: 0))
        #expect(exit.cause == .terminated)
        try site.send(.forget(backend))
        try site.send(.list)
        #expect(try site.receive() == .listed)
        #expect(try WardenSite.text(of: output).hasSuffix("bye\n"))
    }

    @Test("What cannot be started is refused with a sentence, and nothing of it is left")
    func refusals() throws {
        let site = try WardenSite(command: "exec /bin/absent")
        _ = try site.greet()
        try site.spawn("lost", image: "nothing")
        #expect(
            try site.receive()
                == .refused(try BackendID("lost"), message: "there is no image nothing here; there are: busybox"))
        try site.spawn("late", lifetime: .zero)
        guard case .refused(_, let late) = try site.receive() else { return #expect(Bool(false), "not refused") }
        #expect(late.contains("lease"))
        // Whatever the controller let pass: more than the image's policy allows is not started.
        var limits = ResourceLimits()
        limits.memoryBytes = 1 << 50
        try site.send(
            .spawn(
                SpawnRequest(
                    backend: try BackendID("greedy"), image: try ImageName("busybox"), environment: [], limits: limits,
                    hardDeadline: .now + .seconds(60), fencingToken: FencingToken(1), note: [])))
        guard case .refused(_, let greedy) = try site.receive() else { return #expect(Bool(false), "not refused") }
        #expect(greedy.contains("\(1 << 50) was asked for"), "\(greedy)")
        try site.send(.list)
        #expect(try site.receive() == .listed)
    }

    @Test("A packet that is no request, or comes before hello, ends the connection and nothing else")
    func refusesForeignPackets() throws {
        let site = try WardenSite(command: "exec sleep 300")
        try site.send(.list)
        #expect(try site.receive() == nil)
        try site.reconnect()
        _ = try site.greet()
        _ = try Socket.sendPacket(site.socket.raw, [250, 1, 2])
        #expect(try site.receive() == nil)
        try site.reconnect()
        #expect(try site.greet() != nil)
    }

    @Test("Killing the warden ends every sandbox at once")
    func deathOfTheWarden() throws {
        let site = try WardenSite(command: "exec sleep 300", pool: 0)
        _ = try site.greet()
        try site.spawn("orphan")
        #expect(try site.receive() == .spawned(try BackendID("orphan")))
        let output = try site.takeDescriptor()
        let left = try #require(try site.cgroup(of: "orphan"))
        try site.kill()
        // The command held the writing end: its end of file is the command's end.
        #expect(try WardenSite.text(of: output) == "")
        #expect(try File.names(in: left).contains("orphan"), "nobody was there to remove its empty cgroup")

        // The next warden finds the place and cleans it.
        try site.restart()
        _ = try site.greet()
        #expect(try !File.names(in: left).contains("orphan"))
    }

    @Test("Sandboxes that are kept ready start with what each request says, and end with their warden")
    func keptReady() throws {
        let site = try WardenSite(command: "echo $GREETING; exec sleep 300", pool: 3)
        _ = try site.greet()
        var outputs: [Int32] = []
        for number in 0..<8 {
            try site.spawn("ready\(number)", environment: ["GREETING=hello \(number)"])
            #expect(try site.receive() == .spawned(try BackendID("ready\(number)")))
            outputs.append(try site.takeDescriptor())
            #expect(try WardenSite.line(of: outputs[number]) == "hello \(number)\n")
        }
        let folder = try #require(try site.cgroupFolder())
        try site.kill()
        for output in outputs { #expect(try WardenSite.text(of: output) == "") }
        let deadline = BootInstant.now + .seconds(20)
        while try site.populated(folder) != [], BootInstant.now < deadline { poll(nil, 0, 5) }
        #expect(try site.populated(folder) == [])
        try site.restart()
        _ = try site.greet()
    }

    @Test("All processes of a sandbox together may use the processor time that its policy gives, and no more")
    func processorTime() throws {
        let site = try WardenSite(
            command: "for i in 1 2 3 4; do (while :; do :; done) & done; wait",
            policy: #"{"limits": {"cpu_time": "1s", "cpus": 4}}"#)
        _ = try site.greet()
        try site.spawn("busy")
        let backend = try BackendID("busy")
        #expect(try site.receive() == .spawned(backend))
        guard case .exited(backend, let exit) = try site.receive() else {
            Issue.record("no exit")
            return
        }
        #expect(exit.cause == .cpuTime)
        // Four processes shared it: none of them has used the second alone, at which RLIMIT_CPU would have ended it.
        #expect((1_000_000..<3_000_000).contains(exit.cpuMicroseconds), "\(exit.cpuMicroseconds)")
    }
}
