import Glibc
import Linux
import TestPrograms
import Testing

@testable import plane

@Suite("Importing images", .serialized)
struct ImageImportTests {
    private let folder: TemporaryFolder
    private let archive: ImageArchive
    private let canary: Canary

    init() throws {
        folder = try TemporaryFolder()
        archive = ImageArchive(folder: folder)
        canary = try Canary(in: folder)
    }

    private func plane(_ words: [String], path: String? = nil) throws -> PlaneProgram.Outcome {
        let dashes = words.firstIndex(of: "--") ?? words.endIndex
        return try PlaneProgram.run(
            Array(words[..<dashes]) + ["--state", folder.path] + words[dashes...], path: path)
    }

    private var images: [String] { get throws { try folder.names("images").filter { $0 != ".lock" } } }

    private func inspect(_ name: String) throws -> String { try plane(["image", "inspect", name, "--json"]).output }

    @Test("A layout, its archive and what docker save writes become the same image, which verifies")
    func sources() throws {
        let layout = try archive.layout(
            "demo",
            ImageArchive.shell + """
                file("etc/passwd", b"root:x:0:0", uid=7, gid=8)
                link("bin/ash", "sh")
                add("bin/other", tarfile.LNKTYPE, target="bin/busybox")
                """)
        for (target, name) in [
            ("docker-archive:\(folder.path)/saved.tar:demo:1", "saved.tar"),
            ("oci-archive:\(folder.path)/packed.tar", "packed.tar"),
        ] {
            let (status, _, errors) = try Program.run(
                ["/usr/bin/skopeo", "--insecure-policy", "copy", "-q", "oci:\(layout)", target])
            try #require(status == .exited(code: 0), "\(errors)")
            try #require(try Program.run(["/bin/gzip", "-k1", "\(folder.path)/\(name)"]).0 == .exited(code: 0))
        }
        var digests: Set<String> = []
        for name in ["demo", "saved.tar", "saved.tar.gz", "packed.tar", "packed.tar.gz"] {
            let imported = try plane(["image", "import", "\(folder.path)/\(name)"])
            #expect(imported.status == 0, "\(name): \(imported.errors)")
            let image = String(name.prefix { $0 != "." })
            let verified = try plane(["image", "inspect", image, "--verify"])
            #expect(verified.status == 0 && verified.output.contains("verified"), "\(verified.output)")
            let text = try File.readText("\(folder.path)/images/\(image)/manifest.json")
            digests.insert(String(text.split(separator: "sha256:")[1].prefix(64)))
        }
        #expect(digests.count == 1)
        #expect(try images == ["demo", "packed", "saved"])
        let root = "\(folder.path)/images/demo"
        #expect(try folder.names("images/demo") == ["manifest.json", "rootfs"])
        #expect(File.status(root)?.mode == 0o755 && File.status(root + "/rootfs/etc/passwd")?.userID == 7)
        #expect(File.status(root + "/rootfs/bin/busybox")?.inode == File.status(root + "/rootfs/bin/other")?.inode)
    }

    @Test("What the image says of running it is taken over")
    func manifest() throws {
        let layout = try archive.layout(
            "demo", ImageArchive.shell,
            config: """
                {"Entrypoint": ["sh", "-c"], "Cmd": ["echo"], "Env": ["A=1=2", "PATH=/bin", "1B=x", "PLANE_X=1", "PORT=9"],
                 "WorkingDir": "/srv/app", "ExposedPorts": {"9000/tcp": {}, "53/udp": {}}, "User": "web\\x1b[2J",
                 "Volumes": {"/data": {}}}
                """)
        let imported = try plane(["image", "import", layout])
        #expect(imported.status == 0, "\(imported.errors)")
        let text = try inspect("demo")
        #expect(text.contains(#""command":["/bin/sh","-c","echo"]"#))
        #expect(text.contains(#""A":"1=2""#) && text.contains(#""port":9000"#) && !text.contains("1B"))
        #expect(text.contains(#""working_directory":"/srv/app""#))
        #expect(File.status("\(folder.path)/images/demo/rootfs/srv/app")?.kind == .directory)
        #expect(imported.errors.contains("wants to run as user web\\x1b[2J;"))
        #expect(imported.errors.contains("variable 1B is left out"))
        #expect(imported.errors.contains("wants volumes at /data;"))
    }

    @Test(
        "What an image leaves open must be said on the command line",
        arguments: [
            ("{}", [], "says no command"), ("{}", ["--", "sh", "-i"], ""),
            (#"{"Cmd": ["absent"]}"#, [], "no program \"absent\""),
            (#"{"Cmd": ["bin/sh"]}"#, [], ""), (#"{"Cmd": ["sh"], "WorkingDir": "/bin/sh/x"}"#, [], "/bin/sh"),
            (
                #"{"Cmd": ["sh"], "ExposedPorts": {"80": {}, "443/tcp": {}}}"#, [],
                "80, 443; say which one by --port PORT"
            ),
            (#"{"Cmd": ["sh"], "ExposedPorts": {"80": {}, "443/tcp": {}}}"#, ["--port", "443"], ""),
            (#"{"Cmd": ["sh"], "architecture": "s390x"}"#, [], "s390x"),
        ])
    func leftOpen(config: String, words: [String], problem: String) throws {
        let layout = try archive.layout("demo", ImageArchive.shell, config: config)
        let imported = try plane(["image", "import", layout] + words)
        #expect(imported.status == (problem.isEmpty ? 0 : 1), "\(imported.errors)")
        #expect(imported.errors.contains(problem.isEmpty ? "image demo is in" : problem), "\(imported.errors)")
        #expect(try images == (problem.isEmpty ? ["demo"] : []))
    }

    /// Python, and what the sentence must contain.
    static let hostile: [(entries: String, problem: String)] = [
        (#"file("../../../canary/x", b"x")"#, #"leads upwards by "..""#),
        (#"file("a/../../../../canary/x", b"x")"#, #"leads upwards by "..""#),
        (#"file(canary + "/x", b"x")"#, "is an absolute path"),
        (#"add("shadow", tarfile.LNKTYPE, target="/etc/shadow")"#, "is a hard link, whose target"),
        (#"add("file", tarfile.LNKTYPE, target="../../../canary/file")"#, "is a hard link, whose target"),
        (#"file("short", pax={"path": "../../../canary/x"})"#, #"leads upwards by "..""#),
        (#"add("null", tarfile.CHRTYPE)"#, "is a device node"), (#"add("disk", tarfile.BLKTYPE)"#, "is a device node"),
        (#"add("pipe", tarfile.FIFOTYPE)"#, "is a fifo"),
        (#"file("a/.wh...", b"")"#, "removes a folder that it does not name"),
        (#"file(".wh.", b"")"#, "removes a folder that it does not name"),
        (#"file(".wh...", b"")"#, "removes a folder that it does not name"),
        (#"file("x", uid=70000)"#, "ids in an image end at 65535"),
        (#"file("x", gid=70000)"#, "ids in an image end at 65535"),
        (#"file("x", pax={"SCHILY.xattr.trusted.overlay.opaque": "y"})"#, "a mark of overlayfs"),
        (#"file("x", pax={"SCHILY.xattr.user.overlay.redirect": "/etc"})"#, "a mark of overlayfs"),
        (#"add("x", b"S", size=0)"#, "is a sparse file"),
        (#"file("x", pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "99999999999"})"#, "is a sparse file"),
        (#"add("huge", tarfile.REGTYPE, size=1 << 50)"#, "holds more than 8.0 GiB"),
        (#"file("x", pax={"size": "1152921504606846976"})"#, "holds more than 8.0 GiB"),
        (#"raw(gzip.compress(b"no archive at all" * 100))"#, "is no tar archive"),
        (#"link("dev", canary)"#, "/dev is a link; it must be a real folder"),
        (#"link("proc", "../../../../canary")"#, "/proc is a link"), (#"link("sys", canary)"#, "/sys is a link"),
        (#"link("etc", canary)"#, "/etc is a link"), (#"link("tmp", canary)"#, "/tmp is a link"),
        (#"file("proc", b"")"#, "/proc is no folder"),
    ]

    @Test(
        "A hostile archive is refused with a sentence, touches nothing outside and leaves nothing", arguments: hostile)
    func refused(entries: String, problem: String) throws {
        let layout = try archive.layout("demo", ImageArchive.shell + entries)
        let imported = try plane(["image", "import", layout])
        #expect(imported.status == 1)
        #expect(imported.errors.contains(problem), "\(imported.errors)")
        #expect(try canary.isUntouched)
        #expect(try images.isEmpty)
    }

    /// Python, and what must be so in the tree afterwards.
    static let contained: [(entries: String, path: String)] = [
        (#"link("a", canary); file("a/x", b"x")"#, "a"),
        (#"link("a", "../../../canary"); file("a/x", b"x")"#, "a"),
        (#"link("a", canary); file("a/.wh.file", b"")"#, "a"),
        (#"link("a", canary + "/file"); file("a", b"other", 0o4755)"#, "a"),
        (#"link("a", canary); folder("a", 0o777)"#, "a"),
        (#"link("b", canary + "/file"); add("c", tarfile.LNKTYPE, target="b"); file("c", b"x")"#, "c"),
        (#"folder("dev"); link("dev/null", "/proc/sys/kernel/core_pattern")"#, "dev/null"),
        (#"folder("data"); link("data/sub", canary)"#, "data/sub"),
    ]

    @Test("What leads out by links stays within the tree", arguments: contained)
    func containedLinks(entries: String, path: String) throws {
        let layout = try archive.layout("demo", ImageArchive.shell + entries)
        let imported = try plane(["image", "import", layout])
        #expect(imported.status == 0, "\(imported.errors)")
        #expect(File.status("\(folder.path)/images/demo/rootfs/\(path)") != nil)
        #expect(try canary.isUntouched)
    }

    @Test("A million entries and a file of zeros end at the limits, which flags raise")
    func limits() throws {
        let many = try archive.layout(
            "many",
            #"""
            import struct
            header = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
            raw(gzip.compress(header * 10000, 1) * 100)
            """#)
        let refused = try plane(["image", "import", many, "--max-files", "3000"])
        #expect(refused.status == 1 && refused.errors.contains("more than 3000 files"), "\(refused.errors)")
        let zeros = try archive.layout("zeros", ImageArchive.shell + #"file("zeros", bytes(5 << 20))"#)
        let large = try plane(["image", "import", zeros, "--max-mib", "5"])
        #expect(large.status == 1 && large.errors.contains("holds more than 5.0 MiB"), "\(large.errors)")
        #expect(try images.isEmpty)
        let enough = try plane(["image", "import", zeros, "--max-mib", "8", "--max-files", "20"])
        #expect(enough.status == 0, "\(enough.errors)")
    }

    @Test("Bits and attributes that give privileges are taken away, and told")
    func privileges() throws {
        let capability = #""\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0""#
        let layout = try archive.layout(
            "demo",
            ImageArchive.shell + """
                file("bin/su", b"x", 0o6755)
                folder("var", 0o2775)
                file("bin/ping", b"x", 0o755, pax={"SCHILY.xattr.security.capability": \(capability)})
                file("bin/noted", b"x", 0o755, pax={"SCHILY.xattr.user.note": "hello"})
                """)
        let imported = try plane(["image", "import", layout])
        #expect(imported.status == 0, "\(imported.errors)")
        #expect(imported.errors.contains("setuid or setgid bit taken from 2 entries, such as /bin/su"))
        #expect(imported.errors.contains("extended attribute taken from 2 entries, such as /bin/noted"))
        let root = "\(folder.path)/images/demo/rootfs"
        #expect(File.status(root + "/bin/su")?.mode == 0o755 && File.status(root + "/var")?.mode == 0o775)
        let attributes = try Program.run(
            [
                "/usr/bin/python3", "-c",
                "import os; print(os.listxattr('\(root)/bin/ping') + os.listxattr('\(root)/bin/noted'))",
            ])
        #expect(attributes.1.contains("[]"), "\(attributes)")
        #expect(try plane(["image", "inspect", "demo", "--verify"]).status == 0)
    }

    @Test("Without skopeo or umoci a sentence says what to install", arguments: [["umoci"], ["skopeo"]])
    func missingProgram(there: [String]) throws {
        let layout = try archive.layout("demo", ImageArchive.shell)
        try File.makeDirectories("\(folder.path)/programs", mode: 0o755)
        for name in there { symlink("/usr/bin/\(name)", "\(folder.path)/programs/\(name)") }
        let imported = try plane(["image", "import", layout], path: "\(folder.path)/programs")
        #expect(imported.status == 1)
        #expect(imported.errors.contains("apt-get install skopeo umoci"))
        #expect(try images.isEmpty)
    }

    /// Puts a program in umoci's place, which has the tree's path in `$tree`.
    private func unpacker(_ script: String) throws -> String {
        try File.makeDirectories("\(folder.path)/programs", mode: 0o755)
        symlink("/usr/bin/skopeo", "\(folder.path)/programs/skopeo")
        try folder.write(
            "#!/bin/bash\ntree=${!#}\nmkdir -p $tree/bin; cp /bin/busybox $tree/bin/sh\n\(script)\n",
            to: "programs/umoci", mode: 0o755)
        return "\(folder.path)/programs"
    }

    @Test("The program that unpacks can write to its own folder only, and make no device")
    func confinement() throws {
        let layout = try archive.layout("demo", ImageArchive.shell)
        let path = try unpacker(
            """
            try() { name=$1; shift; if "$@" 2>/dev/null; then echo "$name was possible"; else echo "$name failed"; fi; }
            {
              try inside touch $tree/x
              try outside touch \(canary.path)/x
              try mode chmod 600 \(canary.path)/file
              try removal rm -f \(canary.path)/file
              try node mknod $tree/null c 1 3
              try remount mount -o remount,rw /
              try sysctl sh -c 'read value </proc/sys/vm/overcommit_memory; echo $value >/proc/sys/vm/overcommit_memory'
              try network bash -c 'exec 3<>/dev/udp/192.0.2.1/9'
              try signal kill -0 \(getpid())
            } > $tree/report
            """)
        let imported = try plane(["image", "import", layout], path: path + ":/usr/bin:/bin")
        #expect(imported.status == 0, "\(imported.errors)")
        let report = try File.readText("\(folder.path)/images/demo/rootfs/report")
        #expect(
            report == """
                inside was possible
                outside failed
                mode failed
                removal failed
                node failed
                remount failed
                sysctl failed
                network failed
                signal failed

                """)
        #expect(try canary.isUntouched)
    }

    @Test(
        "What is unpacked beyond the limits ends the unpacking, whatever the archive said",
        arguments: [
            (
                "head -c 4000000 /dev/zero > $tree/zeros || exit 3; sleep 60", ["--max-mib", "3"],
                "umoci exited with status 3"
            ),
            ("for i in {1..300}; do : > $tree/$i; done; sleep 60", ["--max-files", "200"], "more than 200 files"),
            (
                "for i in {1..4}; do head -c 900000 /dev/zero > $tree/$i; done; sleep 60", ["--max-mib", "3"],
                "more than 3.0 MiB"
            ),
        ])
    func overflow(script: String, flags: [String], problem: String) throws {
        let layout = try archive.layout("demo", #"file("x")"#)
        let path = try unpacker(script)
        let imported = try plane(["image", "import", layout] + flags, path: path + ":/usr/bin:/bin")
        #expect(imported.status == 1)
        #expect(imported.errors.contains(problem), "\(imported.errors)")
        #expect(try images.isEmpty)
    }

    @Test("A signal ends an import with all that it started, and leaves nothing")
    func interrupted() throws {
        let layout = try archive.layout("demo", ImageArchive.shell)
        mkfifo("\(folder.path)/fifo", 0o600)
        let path = try unpacker("trap '' TERM; echo running > \(folder.path)/fifo; sleep 600 & wait; :")
        let started = try PlaneProgram.start(
            ["image", "import", layout, "--state", folder.path], path: path + ":/usr/bin:/bin")
        let fifo = try File.open("\(folder.path)/fifo", O_RDONLY | O_NONBLOCK)
        var watched = pollfd(fd: fifo.raw, events: Int16(POLLIN), revents: 0)
        #expect(poll(&watched, 1, 20_000) == 1)
        kill(started.pid, SIGINT)
        let outcome = try started.finish()
        #expect(outcome.status == 1 && outcome.errors.contains("stopped by a signal"), "\(outcome.errors)")
        #expect(try images.isEmpty)
        #expect(try !PlaneProgram.isAnyRunning(mentioning: "\(folder.path)/programs"))
    }

    @Test("An image whose /dev/null is a link to the host's settings is started with the real one")
    func nullLink() throws {
        let layout = try archive.layout(
            "demo",
            ImageArchive.shell
                + #"folder("dev"); link("dev/null", "/proc/sys/kernel/core_pattern"); link("dev/console", canary)"#)
        #expect(try plane(["image", "import", layout]).status == 0)
        let before = try File.readText("/proc/sys/kernel/core_pattern")
        let ran = try plane([
            "run", "--image", "demo", "--allow-missing-controllers", "--", "/bin/busybox", "stat", "-c", "%F:%t:%T",
            "/dev/null",
        ])
        #expect(ran.output.contains("character special file:1:3"), "\(ran.output) \(ran.errors)")
        #expect(try File.readText("/proc/sys/kernel/core_pattern") == before)
        #expect(try canary.isUntouched)
    }

    @Test("An image is not removed while a sandbox runs on it, which is named")
    func inUse() throws {
        let layout = try archive.layout("demo", ImageArchive.shell)
        #expect(try plane(["image", "import", layout]).status == 0)
        #expect(try plane(["image", "import", layout, "--name", "other"]).status == 0)
        let running = try PlaneProgram.start([
            "run", "--image", "demo", "--state", folder.path, "--allow-missing-controllers", "--", "sleep", "600",
        ])
        let root = "\(folder.path)/images/demo/rootfs"
        var waits = 0
        while try ImageUse.sandboxes(of: root).isEmpty, waits < 2000 { waits += 1 + Int(poll(nil, 0, 5)) }
        let refused = try plane(["image", "rm", "demo"])
        #expect(refused.status == 1)
        #expect(refused.errors.contains("in use by plane run (process \(running.pid))"), "\(refused.errors)")
        #expect(try plane(["image", "rm", "other"]).status == 0)
        #expect(try images.contains("demo"))
        // Passed on to the command; whoever is killed instead leaves its cgroup behind.
        kill(running.pid, SIGTERM)
        _ = try running.finish()
        while try !ImageUse.sandboxes(of: root).isEmpty { poll(nil, 0, 5) }
        #expect(try plane(["image", "rm", "demo"]).status == 0)
        #expect(try !images.contains("demo"))
    }
}
