import CLinux
import Glibc
import Linux
import Testing

/// The room's promises, kept by the real kernel.
@Suite(.serialized)
struct LinuxTests {
    /// How many descriptors of this process refer to the file that one refers to. Other tests' do not count.
    private func holders(_ file: FileStatus) throws -> Int {
        try File.names(in: "/proc/self/fd").count { name in
            guard let number = Int32(name) else { return false }
            var information = stat()
            return fstat(number, &information) == 0 && UInt64(information.st_ino) == file.inode
                && UInt64(information.st_dev) == file.device
        }
    }

    @Test("A descriptor is closed when its owner goes, and not when it is released")
    func ownership() throws {
        let first: FileStatus
        do {
            let pipe = try Linux.Pipe()
            first = try File.status(pipe.reading)
            let copy = try pipe.reading.duplicate()
            #expect(try holders(first) == 3)
            _ = consume copy
            #expect(try holders(first) == 2)
        }
        #expect(try holders(first) == 0)
        let released = try Linux.Pipe()
        let second = try File.status(released.reading)
        let (reading, writing) = released.split()
        #expect(try holders(second) == 2)
        close(reading)
        close(writing)
    }

    @Test("A failed call names itself, its cause and the code")
    func errors() throws {
        let error = #expect(throws: SystemError.self) { try File.read("/absent") }
        #expect(error == SystemError(ENOENT, "open /absent"))
        #expect(error?.description == "open /absent: No such file or directory (ENOENT)")
    }

    @Test("Packets keep their boundaries and carry descriptors; the end of the peer is seen")
    func packets() throws {
        let (mine, theirs) = try Socket.packetPair().split()
        let near = Descriptor(owning: mine)
        let pipe = try Linux.Pipe()
        do {
            let far = Descriptor(owning: theirs)
            #expect(try Socket.sendPacket(far.raw, [1, 2, 3], descriptors: [pipe.writing.raw]))
            #expect(try Socket.sendPacket(far.raw, [4]))
        }
        let first = try #require(try Socket.receivePacket(near.raw, capacity: 100))
        #expect(first.bytes == [1, 2, 3])
        #expect(first.descriptors.count == 1)
        let writer = Descriptor(owning: first.descriptors[0])
        try writer.writeAll([7])
        var byte: UInt8 = 0
        #expect(read(pipe.reading.raw, &byte, 1) == 1)
        #expect(byte == 7)
        #expect(try Socket.receivePacket(near.raw, capacity: 100)?.bytes == [4])
        #expect(try Socket.receivePacket(near.raw, capacity: 100)?.bytes == [])
    }

    @Test("A packet that does not fit is refused, and its descriptors are not leaked")
    func oversizedPacket() throws {
        let (mine, theirs) = try Socket.packetPair().split()
        let near = Descriptor(owning: mine)
        let far = Descriptor(owning: theirs)
        let pipe = try Linux.Pipe()
        let file = try File.status(pipe.reading)
        _ = try Socket.sendPacket(far.raw, [1, 2, 3], descriptors: [pipe.reading.raw])
        let error = #expect(throws: SystemError.self) { _ = try Socket.receivePacket(near.raw, capacity: 2) }
        #expect(error?.code == EMSGSIZE)
        #expect(try holders(file) == 2)
    }

    @Test("epoll tells which descriptor is ready; timer, wake-up and signal are descriptors like others")
    func events() throws {
        let epoll = try Epoll()
        let wake = try EventDescriptor()
        let timer = try TimerDescriptor()
        try epoll.add(wake.raw, .readable, token: 1 << 40)
        try epoll.add(timer.raw, .readable, token: 2)
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 4)
        defer { events.deallocate() }
        #expect(try epoll.wait(into: events, timeoutMilliseconds: 0) == 0)
        wake.wake()
        #expect(try epoll.wait(into: events, timeoutMilliseconds: 1000) == 1)
        #expect(events[0].token == 1 << 40)
        #expect(events[0].interest.contains(.readable))
        wake.drain()
        try timer.arm(at: .now + .milliseconds(1))
        #expect(try epoll.wait(into: events, timeoutMilliseconds: 10_000) == 1)
        #expect(events[0].token == 2)
        timer.drain()
        try timer.arm(at: nil)
        #expect(try epoll.wait(into: events, timeoutMilliseconds: 0) == 0)
    }

    @Test("openat2 keeps a path below its folder, whatever the links say")
    func boundedResolution() throws {
        var template = Array("/tmp/plane-linux-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { for name in ["/out", "/up", "/etc", ""] { _ = rmdir(path + name); _ = unlink(path + name) } }
        mkdir(path + "/etc", 0o755)
        symlink("/etc", path + "/out")
        symlink("../../../../etc", path + "/up")
        let folder = try File.open(path, File.pathOnly | O_DIRECTORY)
        let own = try File.status(File.open("etc", below: folder, File.pathOnly, .beneathWithoutLinks))
        for name in ["out", "up"] {
            let inside = try File.status(File.open(name, below: folder, File.pathOnly, .inRoot))
            #expect(inside.inode == own.inode)
            let error = #expect(throws: SystemError.self) {
                _ = try File.open(name, below: folder, File.pathOnly, .beneathWithoutLinks)
            }
            #expect(error?.code == ELOOP)
        }
    }

    @Test("A lock is held by one at a time")
    func locks() throws {
        let path = "/tmp/plane-lock-\(getpid())"
        defer { unlink(path) }
        do {
            let held = try File.lock(path)
            let second = try File.lock(path) == nil
            #expect(second)
            _ = consume held
        }
        let free = try File.lock(path) != nil
        #expect(free)
    }

    @Test("Time is added, subtracted and rounded without overflow")
    func time() {
        let start = BootInstant(nanoseconds: 1_000)
        #expect(start + .nanoseconds(5) == BootInstant(nanoseconds: 1_005))
        #expect(start + .seconds(-1) == BootInstant(nanoseconds: 0))
        #expect(BootInstant(nanoseconds: .max) + .seconds(1) == BootInstant(nanoseconds: .max))
        #expect(start - BootInstant(nanoseconds: 3_000) == .nanoseconds(-2_000))
        #expect(Duration.nanoseconds(1).millisecondsRoundedUp == 1)
        #expect(Duration.milliseconds(7).millisecondsRoundedUp == 7)
        #expect(Duration.seconds(-3).millisecondsRoundedUp == 0)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    }

    @Test("Addresses are read strictly and written as people write them")
    func addresses() {
        #expect(SocketAddress.parseHost("127.0.0.1") == 0x7f00_0001)
        #expect(SocketAddress.parseHost("localhost") == 0x7f00_0001)
        for bad in ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "a.b.c.d", "1.2.3.4 "] {
            #expect(SocketAddress.parseHost(bad) == nil)
        }
        #expect(SocketAddress(host: 0x0a00_0001, port: 80).description == "10.0.0.1:80")
    }

    @Test("A process with more than one thread is not cloned")
    func threadedProcessIsNotCloned() async {
        // The test program has a pool of threads; a clone that went through would end here with success.
        await #expect(processExitsWith: .failure) {
            switch try Clone.process(namespaces: [], cgroup: nil) {
            case .child: CurrentProcess.exitImmediately(0)
            case .parent(_, let child): _ = try child.reap()
            }
        }
    }
}
