import Glibc
import Linux
import Model
import Policy
import TestPrograms
import Testing

/// One test for each defence that others stand behind: with the other layers taken away, or with a starter that has more
/// to lose than a test usually has, each must hold by itself. They go on in the suite of `SandboxTests`, one at a time,
/// because its tests compare the machine before and after.
extension SandboxTests {
    @Test("Its mounts are its own and no others, each with the flags that make it harmless")
    func mountsAreHarmless() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("cat /proc/self/mountinfo", image: image)
        let quiet: Set = ["nosuid", "nodev", "noexec"]
        let mounts = SandboxMount.all(in: run.output)
        let expected: [String: Set<String>] = [
            "/": ["rw", "nosuid", "nodev"], "/dev": ["ro", "nosuid", "noexec"], "/dev/pts": ["nosuid", "noexec"],
            "/dev/shm": quiet, "/dev/mqueue": quiet, "/proc": quiet, "/proc/sys": quiet.union(["ro"]),
            "/proc/sysrq-trigger": quiet.union(["ro"]), "/proc/fs": quiet.union(["ro"]),
            "/proc/irq": quiet.union(["ro"]), "/proc/bus": quiet.union(["ro"]), "/proc/acpi": quiet.union(["ro"]),
            "/proc/scsi": quiet.union(["ro"]),
        ]
        for (path, flags) in expected where mounts[path] != nil || Self.isEverywhere(path) {
            #expect(mounts[path]?.isSuperset(of: flags) == true, "\(path): \(mounts[path] ?? [])")
        }
        let others = mounts.keys.filter { expected[$0] == nil }
        // What covers a file of /proc is a device of the shared /dev.
        for path in others { #expect(path.hasPrefix("/proc/") && mounts[path]?.contains("ro") == true, "\(path)") }
    }

    /// Kernels are built without some of /proc's folders.
    private static func isEverywhere(_ path: String) -> Bool {
        !["/proc/irq", "/proc/bus", "/proc/acpi", "/proc/scsi", "/proc/sysrq-trigger"].contains(path)
    }

    @Test("Above its root there is only its root, not the host's")
    func nothingIsAboveTheRoot() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell("cd /.. && ls; cd /../../../.. && ls /..; ls /proc/self/root/..", image: image)
        #expect(Set(run.output.split(separator: "\n")) == ["bin", "dev", "etc", "proc", "tmp"])
    }

    @Test("What /proc tells of the host is covered by an empty device, file by file")
    func procTellsNothing() throws {
        let image = try BusyboxImage()
        let telling = [
            "kcore", "keys", "key-users", "timer_list", "sched_debug", "kallsyms", "kmsg", "config.gz", "interrupts",
            "softirqs", "slabinfo", "pagetypeinfo", "vmallocinfo", "latency_stats", "modules", "cmdline", "iomem",
            "ioports", "kpagecount", "kpageflags", "kpagecgroup",
        ].filter { File.status("/proc/" + $0) != nil }
        try #require(telling.count > 5)
        let run = try SandboxRun.shell(
            "for name in \(telling.joined(separator: " ")); do stat -c '%n %t:%T' /proc/$name; done; cat /proc/cmdline",
            image: image)
        #expect(run.output == telling.map { "/proc/\($0) 1:3\n" }.joined())
    }

    @Test("/dev has the six harmless devices and nothing that reaches the machine")
    func devicesAreHarmless() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "cd /dev; ls | tr '\\n' ' '; echo; for f in *; do [ -c $f ] && [ ! -L $f ] && stat -c '%n %t:%T %a' $f; done",
            image: image
        )
        #expect(
            run.lines[0] == "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ")
        let nodes = ["full 1:7", "null 1:3", "random 1:8", "tty 5:0", "urandom 1:9", "zero 1:5"].map { $0 + " 666" }
        #expect(nodes.allSatisfy(run.lines.contains))
        #expect(run.lines.dropFirst().filter { !$0.isEmpty }.count == nodes.count)
    }

    @Test("With a filter that allows everything, the other layers hold by themselves", .enabled(if: hasCompiler))
    func holdsWithoutTheFilter() throws {
        let image = try BusyboxImage()
        try image.compile(Self.probe, to: "rootfs/bin/probe")
        let run = try LadenStarter(image).run(["/bin/probe"]) { plan in
            // BPF_RET | BPF_K with SECCOMP_RET_ALLOW.
            plan.filter = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]
        }
        #expect(run.lines.contains("user_namespace \(ENOSPC)"), "max_user_namespaces: \(run.output) \(run.errors)")
        #expect(run.lines.contains("mount_namespace \(EPERM)"))
        #expect(run.lines.contains("mount \(EPERM)"))
        #expect(run.lines.contains("chroot \(EPERM)"))
        #expect(run.lines.contains("setns \(EPERM)"))
        // The starter's session keyring holds this key; the new one does not.
        #expect(run.lines.contains("starters_key \(ENOKEY)"))
        // All switches on and locked but for keep_caps, which is off and locked.
        #expect(run.lines.contains("securebits 0xef"))
        // Uid 0 of the sandbox would own its namespaces.
        #expect(run.lines.contains("setuid_0 \(EPERM)"))
    }

    @Test(
        "Nothing of the starter comes along: groups, environment, descriptors, signal mask, session, limits",
        .enabled(if: hasCompiler))
    func nothingOfTheStarterComesAlong() throws {
        let image = try BusyboxImage()
        let starter = try LadenStarter(image)
        let run = try starter.run(
            [
                "/bin/sh", "-c",
                "cat /proc/self/status /proc/self/limits; cut -d' ' -f6 /proc/$$/stat; ls /proc/self/fd | tr '\\n' ' '",
            ]
        ) { plan in
            plan.openFilesMax = 77
            plan.cpuTimeSeconds = 33
        }
        let words = run.lines.map { $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ") }
        for line in [
            "Groups:", "SigBlk: 0000000000000000", "Uid: 1000 1000 1000 1000",
            "Gid: 1000 1000 1000 1000",
            "Max core file size 0 0 bytes", "Max open files 77 77 files", "Max cpu time 34 35 seconds",
            "Max locked memory 65536 65536 bytes", "Max msgqueue size 819200 819200 bytes",
        ] { #expect(words.contains(line), "\(line)") }
        // Also 32 and 33, which posix_spawn(3) leaves ignored and the C library does not let a program reset.
        #expect(words.contains("SigIgn: 0000000000000000"))
        // The shell leads a session of its own.
        #expect(words.contains("2"), "\(run.output)")
        #expect(words.contains("0 1 2 3"), "\(run.output)")
        let environment = try starter.run(["/bin/env"])
        #expect(environment.output == "PATH=/bin\n")
    }

    @Test(
        "The init has one capability, an id of its own, sealed memory for its program and no descriptor too many",
        .enabled(if: hasCompiler))
    func initIsHarmless() throws {
        let image = try BusyboxImage()
        let sandbox = try LadenStarter(image).start()
        let status = try File.readText("/proc/\(sandbox.initID)/status")
        let onlyKill = "0000000000000020"
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(status.contains("\(name):\t\(onlyKill)\n"), "\(name)")
        }
        #expect(status.contains("NoNewPrivs:\t1\n"))
        #expect(status.contains("Groups:\t \n"))
        let users = try Set(
            [sandbox.initID, sandbox.commandID].map { try #require(File.status("/proc/\($0)")).userID })
        #expect(Set(users.map { $0 & 0xffff }) == [65_534, 1000])
        #expect(users.allSatisfy { $0 >= 0x1000_0000 })

        let program = try File.open("/proc/\(sandbox.initID)/exe", O_RDONLY)
        let getSeals: Int32 = 1034
        let sealShrinkGrowWriteSeal: Int32 = 0x1 | 0x2 | 0x4 | 0x8
        let seals = fcntl(program.raw, getSeals)
        // A file of the host answers EINVAL: -1, in which every bit is set.
        #expect(seals > 0 && seals & sealShrinkGrowWriteSeal == sealShrinkGrowWriteSeal, "\(seals)")

        let descriptors = try openFiles(of: sandbox.initID).map { $0.hasPrefix("socket:") ? "socket" : $0 }
        let guards = ["anon_inode:[signalfd]", "anon_inode:[timerfd]"]
        #expect(descriptors.sorted() == ["/dev/null", "/dev/null", "/dev/null"] + guards + ["socket"])
        // Whoever had the timer could put the sandbox's end off.
        #expect(try openFiles(of: sandbox.commandID).allSatisfy { !$0.contains("timerfd") })
    }

    @Test(
        "Each namespace is its own, and init and command are in the sandbox's cgroup",
        .enabled(if: hasCompiler))
    func namespacesAndCgroupAreItsOwn() throws {
        let image = try BusyboxImage()
        let sandbox = try LadenStarter(image).start()
        for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] {
            let host = try target(of: "/proc/self/ns/\(kind)")
            let command = try target(of: "/proc/\(sandbox.commandID)/ns/\(kind)")
            #expect(command != host, "\(kind)")
            #expect(try target(of: "/proc/\(sandbox.initID)/ns/\(kind)") == command, "\(kind)")
        }
        for process in [sandbox.initID, sandbox.commandID] {
            let groups = try File.readText("/proc/\(process)/cgroup")
            #expect(
                groups.split(separator: "\n").contains {
                    $0.hasPrefix("0::") && $0.hasSuffix("/run-\(sandbox.runnerID)")
                },
                "\(groups)")
        }
    }

    @Test("An image whose /proc or /dev is a link is refused, also where the link stays within the image")
    func linkedTargetsAreRefused() throws {
        for name in ["proc", "dev"] {
            for target in ["etc", "/"] {
                let image = try BusyboxImage()
                symlink(target, image.rootPath + "/" + name)
                let run = try SandboxRun.shell("echo started", image: image)
                #expect(run.status == .exited(code: 1), "/\(name) → \(target)")
                #expect(run.errors.contains("openat2 \(name)"), "\(run.errors)")
                #expect(!run.output.contains("started"))
            }
        }
    }

    @Test("The writable layer ends at its number of files, and /dev/shm at its size")
    func filesAndSharedMemoryAreLimited() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "i=0; while [ $i -lt 200 ] && touch /tmp/$i 2>/dev/null; do i=$((i+1)); done; ls /tmp | wc -l; "
                + "dd if=/dev/zero of=/dev/shm/big bs=1M count=8 2>&1", image: image
        ) { plan in
            plan.diskInodes = 100
            plan.sharedMemoryBytes = 2 << 20
        }
        let made = try #require(Int(run.lines[0].filter { $0 != " " }))
        #expect((50..<100).contains(made))
        #expect(run.output.contains("No space left on device"))
    }

    @Test("The image's files belong to the sandbox's own root, and a copy of one to whoever made it")
    func imageOwnersAreInside() throws {
        let image = try BusyboxImage()
        let run = try SandboxRun.shell(
            "stat -c %u:%g /bin/busybox /; echo x >/bin/busybox; cp /bin/busybox /tmp/own && stat -c %u:%g /tmp/own",
            image: image)
        #expect(run.output == "0:0\n0:0\n1000:1000\n")
        #expect(run.errors.contains("Permission denied"))
    }

    private static let hasCompiler = access("/usr/bin/gcc", X_OK) == 0

    /// Tries what the filter would refuse, and says what else stopped it.
    private static let probe = """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <sched.h>
        #include <stdio.h>
        #include <sys/mount.h>
        #include <sys/prctl.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        static void tell(const char *name, long result) { printf("%s %d\\n", name, result < 0 ? errno : 0); }
        int main(void) {
            printf("securebits 0x%x\\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
            tell("starters_key", syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3, "user", "starters-key", 0));
            tell("mount", mount("none", "/tmp", "tmpfs", 0, ""));
            tell("chroot", chroot("/tmp"));
            tell("setuid_0", setuid(0));
            tell("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
            tell("mount_namespace", unshare(CLONE_NEWNS));
            tell("user_namespace", unshare(CLONE_NEWUSER));
        }
        """
}

/// Where a link points. readlink(2).
private func target(of path: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    guard count >= 0 else { throw SystemError(errno, "readlink \(path)") }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// What a process's descriptors refer to.
private func openFiles(of process: Int32) throws -> [String] {
    // One that was closed in between is none.
    try File.names(in: "/proc/\(process)/fd").compactMap { try? target(of: "/proc/\(process)/fd/\($0)") }
}

/// A line of /proc/self/mountinfo. proc_pid_mountinfo(5).
private enum SandboxMount {
    /// The flags of each mount point's last mount.
    static func all(in mountinfo: String) -> [String: Set<String>] {
        var mounts: [String: Set<String>] = [:]
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 5 { mounts[String(fields[4])] = Set(fields[5].split(separator: ",").map(String.init)) }
        }
        return mounts
    }
}

extension BusyboxImage {
    /// Builds a small static program into the image's folder. - Parameter place: its path there.
    fileprivate func compile(_ source: String, to place: String) throws {
        let file = path + "/program.c"
        let output = try File.open(file, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try output.writeAll(Array(source.utf8))
        let (status, _, errors) = try Program.run(["/usr/bin/gcc", "-static", "-o", path + "/" + place, file])
        try #require(status == .exited(code: 0), "\(errors)")
    }
}

/// Starts `plane-warden run` from a process that has what must not get in: supplementary groups, a key in its session
/// keyring, a secret in its environment, open folders of the host, blocked and ignored signals, core dumps.
private struct LadenStarter {
    let image: BusyboxImage

    init(_ image: BusyboxImage) throws {
        self.image = image
        try image.compile(Self.source, to: "starter")
    }

    /// Runs a command to its end.
    func run(_ words: [String], change: (inout SandboxPlan) -> Void = { _ in }) throws -> SandboxRun {
        try writePlan(words, change)
        let (status, output, errors) = try Program.run(["/bin/sh", "-c", script])
        return SandboxRun(status: status, output: output, errors: errors)
    }

    /// Starts a sandbox that waits for its end, and returns once its command runs.
    func start() throws -> WaitingSandbox {
        try writePlan(["/bin/sh", "-c", "echo ready; read line"]) { _ in }
        return try WaitingSandbox(script, image)
    }

    private var script: String {
        let warden = Program.built("plane-warden")
        return "exec '\(image.path)/starter' '\(warden)' run --plan-descriptor 3 --state '\(image.path)/state' "
            + "--allow-missing-controllers 3<'\(image.path)/plan'"
    }

    private func writePlan(_ words: [String], _ change: (inout SandboxPlan) -> Void) throws {
        let manifest = ImageManifest(
            name: try ImageName("probe"), command: words, port: 8080, environment: ["PATH": "/bin"],
            workingDirectory: "/")
        var plan = try PlanCompiler.compile(
            manifest: manifest, rootPath: image.rootPath, policy: PolicyFile.parse("{}", name: "probe.json"))
        change(&plan)
        var writer = WireWriter()
        plan.encode(into: &writer)
        try File.open(image.path + "/plan", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).writeAll(writer.bytes)
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <grp.h>
        #include <signal.h>
        #include <stdlib.h>
        #include <sys/resource.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(int count, char **words) {
            const gid_t groups[] = {4, 12};
            if (count < 2 || setgroups(2, groups) != 0) return 120;
            syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0);
            syscall(SYS_add_key, "user", "starters-key", "secret", 6L, -3 /* KEY_SPEC_SESSION_KEYRING */);
            if (setenv("SECRET", "of-the-starter", 1) != 0) return 121;
            if (dup2(open("/", O_RDONLY | O_DIRECTORY), 9) != 9 || dup2(9, 200) != 200) return 122;
            sigset_t blocked;
            sigfillset(&blocked);
            sigprocmask(SIG_SETMASK, &blocked, 0);
            signal(SIGPIPE, SIG_IGN);
            signal(SIGUSR1, SIG_IGN);
            struct rlimit core;
            getrlimit(RLIMIT_CORE, &core);
            core.rlim_cur = core.rlim_max;
            setrlimit(RLIMIT_CORE, &core);
            // Without CAP_SYS_RESOURCE this fails, and the limit is the kernel's own, the one that is expected inside.
            const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
            setrlimit(RLIMIT_MSGQUEUE, &unlimited);
            execv(words[1], words + 1);
            return 123;
        }
        """
}

/// A sandbox that runs until it goes, looked at from the host.
private final class WaitingSandbox {
    /// Process ids on the host.
    let runnerID: Int32
    let initID: Int32
    let commandID: Int32
    private let runner: ProcessDescriptor
    private let input: Descriptor

    init(_ script: String, _ image: BusyboxImage) throws {
        let names = (input: image.path + "/input", output: image.path + "/output")
        guard mkfifo(names.input, 0o600) == 0, mkfifo(names.output, 0o600) == 0 else {
            throw SystemError(errno, "mkfifo")
        }
        // Open for both directions, so that no opening waits for the other end.
        input = try File.open(names.input, O_RDWR)
        let output = try File.open(names.output, O_RDWR)
        runner = try Program.start(["/bin/sh", "-c", "\(script) <'\(names.input)' >'\(names.output)'"])
        var watched = [output.raw, runner.raw].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&watched, 2, 20_000) > 0, watched[1].revents == 0 else {
            throw SystemError(ECHILD, "waiting for the sandbox's first line")
        }
        let information = try File.readText("/proc/self/fdinfo/\(runner.raw)")
        let line = information.split(separator: "\n").first { $0.hasPrefix("Pid:") }
        runnerID = line.flatMap { Int32($0.dropFirst(4).filter(\.isNumber)) } ?? 0
        initID = try Self.child(of: runnerID) { File.status("/proc/\($0)")?.userID != 0 }
        commandID = try Self.child(of: initID) { _ in true }
        // The command does not wait for the init. Nothing tells when that is at its work but its signal descriptor.
        let deadline = BootInstant.now + .seconds(20)
        while !(try openFiles(of: initID).contains { $0.hasPrefix("anon_inode:") }) {
            guard BootInstant.now < deadline else { throw SystemError(ETIMEDOUT, "waiting for the sandbox's init") }
            poll(nil, 0, 1)
        }
    }

    deinit {
        _ = try? input.writeAll([UInt8(ascii: "\n")])
        _ = try? runner.reap()
    }

    /// The only child of its kind: the runner has others that are root's.
    private static func child(of process: Int32, where isMeant: (Int32) -> Bool) throws -> Int32 {
        let children = try File.readText("/proc/\(process)/task/\(process)/children")
        let found = children.split(separator: " ").compactMap { Int32($0) }.filter(isMeant)
        guard let child = found.first, found.count == 1 else {
            throw SystemError(ECHILD, "process \(process) has other children than one: \"\(children)\"")
        }
        return child
    }
}
