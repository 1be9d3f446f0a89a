import Glibc
import Linux
import TestPrograms
import Testing

/// What a command finds inside a sandbox, seen by real commands in a real one.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root"))
struct SandboxTests {
    @Test("A command's output and exit status come through")
    func passesThrough() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("echo hello; echo oops >&2; exit 7", image: image)
        #expect(run.output == "hello\n")
        #expect(run.errors.contains("oops\n"))
        #expect(run.status == .exited(code: 7))
    }

    @Test("Only its own processes are visible, and its init cannot be signalled")
    func ownProcessesOnly() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("ls /proc | grep -c '^[0-9]'; echo $$; kill -9 1 2>&1; id", image: image)
        // The shell, ls and grep: three at most, none of the host's hundreds.
        #expect((Int(run.lines[0]) ?? 99) <= 3)
        #expect(run.lines[1] == "2")
        #expect(run.output.contains("Operation not permitted") || run.output.contains("No such process"))
        #expect(run.output.contains("uid=1000 gid=1000"))
        #expect(!run.output.contains("groups=0"))
    }

    @Test("Its network is a loopback of its own, and nothing else")
    func loopbackOnly() throws {
        let image = try BusyboxImage()
        let listener = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(listener.raw)
        let run = try SandboxRun.shell(
            "ls /proc/self/net/dev && cut -d: -f1 /proc/self/net/dev | tail -n +3; "
                + "nc -w 2 127.0.0.1 \(port) </dev/null 2>&1; echo nc=$?; "
                + "(nc -l -p 9999 </dev/null >/tmp/got; echo got $(cat /tmp/got) >/tmp/done) & "
                + "until echo hi | nc -w 2 127.0.0.1 9999 2>/dev/null; do :; done; wait; cat /tmp/done",
            image: image)
        #expect(run.lines.contains { $0.contains("lo") })
        #expect(!run.output.contains("eth"))
        #expect(run.output.contains("nc=1"))
        #expect(run.output.contains("got hi\n"))
    }

    @Test("Every capability set is empty, no new privilege can come, and a filter is on")
    func noPrivileges() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "cat /proc/self/status; cat /proc/self/uid_map; cat /proc/self/cgroup", image: image)
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(run.lines.contains("\(name):\t0000000000000000"), "\(name)")
        }
        #expect(run.lines.contains("NoNewPrivs:\t1"))
        #expect(run.lines.contains("Seccomp:\t2"))
        #expect(run.lines.contains { $0.split(separator: " ").first == "0" && $0.contains("65536") })
        #expect(run.output.contains("0::/\n"))
    }

    @Test("The image is not written to, and what is written is gone with the sandbox")
    func writesAreItsOwn() throws {
        let image = try BusyboxImage()
        let first = try SandboxRun.shell(
            "echo secret >/tmp/file && echo x >>/etc/new 2>&1; cat /tmp/file", image: image)
        #expect(first.output.contains("secret"))
        let second = try SandboxRun.shell("ls /tmp /etc", image: image)
        #expect(!second.output.contains("file"))
        #expect(File.status(image.rootPath + "/tmp/file") == nil)
    }

    @Test("The writable layer ends at its size")
    func diskIsLimited() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "dd if=/dev/zero of=/tmp/big bs=1M count=64 2>&1; ls -l /tmp/big", policy: #"{"limits": {"disk": "8MiB"}}"#,
            image: image)
        #expect(run.output.contains("No space left on device"))
    }

    @Test("Mounting, new namespaces, chroot and device nodes are refused")
    func refusesPrivilegedCalls() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "mount -t tmpfs none /tmp 2>&1; unshare -U true 2>&1; chroot / true 2>&1; mknod /tmp/n b 254 0 2>&1; "
                + "hostname other 2>&1; echo core >/proc/sys/kernel/core_pattern; echo done", image: image)
        #expect(run.lines.count >= 5)
        #expect(run.output.contains("mount: ") && run.output.contains("unshare: ") && run.output.contains("chroot: "))
        #expect(run.output.contains("mknod: ") && run.output.contains("hostname: "))
        #expect(run.errors.contains("core_pattern"))
    }

    @Test("No descriptor but the three streams is open, and the environment is what was configured")
    func nothingIsInherited() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("ls /proc/self/fd; env | sort", image: image)
        // ls itself opens the folder as 3.
        #expect(run.lines.prefix(4) == ["0", "1", "2", "3"])
        #expect(run.lines.contains("PATH=/bin"))
        #expect(!run.output.contains("SWIFT"))
    }

    @Test("A command that does not exist is a sentence that names it")
    func missingCommand() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.command(["/bin/nothing"], rootPath: image.rootPath)
        #expect(run.status == .exited(code: 1))
        #expect(run.errors.contains("its command could not be started: execve /bin/nothing: No such file"))
    }

    @Test("An image whose /dev is a link to a folder of the host is refused, and the folder stays empty")
    func linkedDevicesAreRefused() throws {
        let image = try BusyboxImage()
        let canary = image.path + "/canary"
        mkdir(canary, 0o777)
        symlink(canary, image.rootPath + "/dev")
        let run = try SandboxRun.shell("echo started", image: image)
        #expect(run.status == .exited(code: 1))
        #expect(run.errors.contains("/dev"))
        #expect(try File.names(in: canary).isEmpty)
    }

    @Test("A signal reaches the command, and its end by one is told as the shell tells it")
    func endsBySignal() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("kill -TERM $$", image: image)
        #expect(run.status == .exited(code: 128 + SIGTERM))
    }

    @Test("Processes that were left behind end with the command, and no mount, cgroup or folder is left")
    func leavesNothing() throws {
        let image = try BusyboxImage()
        let mounts = try File.readText("/proc/self/mountinfo", limit: 1 << 22)
        let mount = try #require(Cgroup.mountPoint())
        let before = try File.names(in: mount)
        let run = try SandboxRun.shell("(sleep 300 &) ; (setsid sleep 300 &); echo left", image: image)
        #expect(run.output == "left\n")
        #expect(try File.readText("/proc/self/mountinfo", limit: 1 << 22) == mounts)
        #expect(try File.names(in: mount).filter { !before.contains($0) } == [])
    }

    @Test("A policy may refuse what Plane itself needs for a launch: the command is under it all the same")
    func policyAgainstTheLaunch() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "grep -E 'Seccomp:' /proc/self/status",
            policy: #"{"seccomp": {"deny": ["recvmsg", "close_range", "fcntl"]}}"#,
            image: image)
        #expect(run.status == .exited(code: 0), "\(run.errors)")
        #expect(run.output == "Seccomp:\t2\n")
    }
}
