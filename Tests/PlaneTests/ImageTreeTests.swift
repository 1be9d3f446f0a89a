import Glibc
import Images
import Linux
import TestPrograms
import Testing

@testable import plane

@Suite("Trees of images", .serialized)
struct ImageTreeTests {
    private let folder: TemporaryFolder
    private let canary: Canary

    init() throws {
        folder = try TemporaryFolder()
        canary = try Canary(in: folder)
        try folder.write(#"{"name":"small","command":["/bin/true"],"port":80}"#, to: "recipe/image.json")
    }

    private func build(_ script: String) throws -> PlaneProgram.Outcome {
        try folder.write("#!/bin/bash\nset -e\ncd $1\numask 022\n\(script)\n", to: "recipe/build", mode: 0o755)
        return try PlaneProgram.run(["image", "build", "\(folder.path)/recipe", "--state", folder.path])
    }

    private var images: [String] { get throws { try folder.names("images").filter { $0 != ".lock" } } }
    private var root: String { "\(folder.path)/images/small/rootfs" }

    @Test(
        "A tree that no sandbox may be given is refused with a sentence, and nothing outside is changed",
        arguments: [
            ("ln -s $CANARY dev", "/dev is a link"), ("ln -s ../../../../canary proc", "/proc is a link"),
            ("ln -s etc2 etc", "/etc is a link"), ("ln -s var/tmp tmp", "/tmp is a link"),
            ("touch sys", "/sys is no folder"), ("mknod x c 1 3", "/x is a device node"),
            ("mkdir dev; mknod dev/sda b 7 0", "/dev/sda is a device node"), ("mkfifo x", "/x is a fifo"),
            ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"x\")'", "/x is a socket"),
            ("touch x; chown 70000 x", "/x belongs to 70000:0"), ("mkdir x; chgrp 65536 x", "/x belongs to 0:65536"),
            ("ln $CANARY/file x", "/x is a hard link to a file outside"),
            (
                "python3 -c 'import os; os.mkdir(\"x\"); os.setxattr(\"x\", \"trusted.overlay.opaque\", b\"y\")'",
                "a mark of overlayfs"
            ),
            (
                "ln -s y x; python3 -c 'import os; os.setxattr(\"x\", \"trusted.overlay.redirect\", b\"/\", follow_symlinks=False)'",
                "a mark of overlayfs"
            ),
            ("mkfifo $'\\e[2Jbad'", "/\\x1b[2Jbad is a fifo"),
        ])
    func refused(script: String, problem: String) throws {
        let built = try build(script.replacing("$CANARY", with: canary.path))
        #expect(built.status == 1)
        #expect(built.errors.contains(problem), "\(built.errors)")
        #expect(try canary.isUntouched)
        #expect(try images.isEmpty)
    }

    @Test("Several problems are told at once, and the first few in full")
    func several() throws {
        let built = try build("for i in {1..9}; do mkfifo f$i; done")
        #expect(built.errors.contains("/f5 is a fifo") && built.errors.contains("and 4 more"), "\(built.errors)")
        #expect(!built.errors.contains("/f6 is a fifo"))
    }

    @Test("Links within the tree stay, missing folders are made, privileges go")
    func normalised() throws {
        let built = try build(
            """
            mkdir -p usr/bin dev; ln -s usr/bin bin; echo one > usr/bin/a; ln usr/bin/a usr/bin/b; chmod 6755 usr/bin/a
            ln -s /etc/shadow usr/shadow; ln -s nowhere dev/null; chmod 3777 usr; touch $'usr/\\xff\\xfe'
            python3 -c 'import os; os.setxattr(b"usr/\\xff\\xfe", "user.x", b"1"); os.setxattr(".", "user.y", b"2")'
            """)
        #expect(built.status == 0, "\(built.errors)")
        #expect(built.errors.contains("setuid or setgid bit taken from 3 entries, such as /usr"), "\(built.errors)")
        #expect(built.errors.contains("extended attribute taken from 2 entries"), "\(built.errors)")
        #expect(File.status(root + "/usr/bin/a")?.mode == 0o755 && File.status(root + "/usr")?.mode == 0o1777)
        #expect(File.status(root + "/usr/bin/a")?.inode == File.status(root + "/usr/bin/b")?.inode)
        for (name, mode) in [("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777)] as [(String, UInt32)] {
            let status = try #require(File.status("\(root)/\(name)"))
            #expect(status.kind == .directory && status.mode == mode && status.userID == 0, "\(name)")
        }
        let left = try Program.run([
            "/usr/bin/python3", "-c",
            "import os; print(os.listxattr(b'\(root)/usr/\\xff\\xfe'), os.listxattr('\(root)'))",
        ])
        #expect(left.output == "[] []\n", "\(left)")
    }

    /// What the documentation of the digest says, told by another program.
    private static let oracle = """
        import hashlib, os, stat, struct, sys
        root, manifest = os.fsencode(sys.argv[1]), sys.argv[2].encode()
        text = lambda bytes: struct.pack(">Q", len(bytes)) + bytes
        digest = hashlib.sha256(b"plane image 1\\n" + text(manifest))
        def walk(path):
            place = os.path.join(root, path) if path else root
            s = os.lstat(place)
            kind = b"d" if stat.S_ISDIR(s.st_mode) else b"l" if stat.S_ISLNK(s.st_mode) else b"f"
            digest.update(kind + struct.pack(">III", stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid) + text(path))
            if kind == b"l": digest.update(text(os.readlink(place)))
            if kind == b"f": digest.update(text(open(place, "rb").read()))
            if kind == b"d":
                for name in sorted(os.listdir(place)): walk(os.path.join(path, name) if path else name)
        walk(b"")
        print("sha256:" + digest.hexdigest())
        """

    @Test("The digest is the SHA-256 that its description says, whatever is in the tree")
    func digest() throws {
        let built = try build(
            """
            mkdir -p a/b a-b; head -c 700000 /dev/urandom > a/b/big; : > a/empty; ln -s ../x a-b/link; touch $'a/\\xff'
            chown -h 5:6 a-b/link; chown 7:8 a/b; chmod 640 a/empty; for i in {1..300}; do echo $i > a-b/$i; done
            """)
        #expect(built.status == 0, "\(built.errors)")
        let manifest = #"{"command":["/bin/true"],"environment":{},"port":80,"working_directory":"/"}"#
        let expected = try Program.run(["/usr/bin/python3", "-c", Self.oracle, root, manifest])
        let digest = expected.output.filter { $0 != "\n" }
        #expect(digest.count == 71, "\(expected.errors)")
        #expect(try File.readText("\(folder.path)/images/small/manifest.json").contains(#""digest":"\#(digest)""#))
        let list = try PlaneProgram.run(["image", "ls", "--state", folder.path])
        #expect(list.output.contains(digest.dropFirst(7).prefix(12)))
    }

    @Test(
        "Whatever is changed in an image, its verification tells",
        arguments: [
            "echo two > a/file", "chmod 600 a/file", "chown 1 a/file", "ln -sfn other a/link", "rm a/file",
            "touch a/more",
            "chmod 4755 a/file", "mkfifo a/pipe", "chgrp 3 a", "mv a/file a/name",
            "sed -i s/80/81/ ../manifest.json", "sed -i s/true/false/ ../manifest.json",
        ])
    func verification(change: String) throws {
        #expect(try build("mkdir a; echo one > a/file; ln -s file a/link").status == 0)
        let words = ["image", "inspect", "small", "--verify", "--state", folder.path]
        #expect(try PlaneProgram.run(words).status == 0)
        let changed = try Program.run(["/bin/sh", "-c", "cd \(root) && \(change)"])
        try #require(changed.0 == .exited(code: 0), "\(changed.errors)")
        let verified = try PlaneProgram.run(words)
        #expect(verified.status == 1)
        #expect(verified.output.contains("NOT "), "\(verified.output)")
    }

    @Test("An image made by hand has no digest, and is listed and inspected all the same")
    func byHand() throws {
        try folder.write(#"{"name":"hand","command":["/bin/true"]}"#, to: "images/hand/manifest.json")
        try folder.write("x", to: "images/hand/rootfs/file")
        try folder.write("{}", to: "policies/default.json")
        let list = try PlaneProgram.run(["image", "ls", "--state", folder.path])
        #expect(list.status == 0 && list.output.contains("hand  1 B   8080  -  "), "\(list.output)")
        let inspected = try PlaneProgram.run(["image", "inspect", "hand", "--state", folder.path])
        #expect(inspected.output.contains("\(folder.path)/policies/default.json"), "\(inspected.output)")
        let verified = try PlaneProgram.run(["image", "inspect", "hand", "--verify", "--json", "--state", folder.path])
        #expect(verified.status == 1 && verified.output.contains("made without one"))
    }

    @Test("A digest that is none makes an image wrong")
    func wrongDigest() throws {
        try folder.write(
            #"{"name":"hand","command":["/bin/true"],"digest":"sha256:0"}"#, to: "images/hand/manifest.json")
        try folder.write("x", to: "images/hand/rootfs/file")
        let list = try PlaneProgram.run(["image", "ls", "--state", folder.path])
        #expect(list.status == 1 && list.errors.contains("digest: \"sha256:0\" is not"), "\(list.errors)")
    }

    @Test("A tree of three thousand folders in each other, with names that are no text, is measured and removed")
    func deep() throws {
        let script = """
            import os, sys
            os.chdir(sys.argv[1])
            for depth in range(3000):
                os.mkdir(b"\\xff"); os.chdir(b"\\xff")
            open(b"\\xfe", "w").write("four")
            """
        try File.makeDirectory("\(folder.path)/deep", mode: 0o755)
        #expect(try Program.run(["/usr/bin/python3", "-c", script, "\(folder.path)/deep"]).0 == .exited(code: 0))
        let tree = FileTree(path: "\(folder.path)/deep")
        #expect(tree.size().entries == 3001 && tree.byteCount() == 4)
        try tree.remove()
        #expect(File.status(tree.path) == nil)
    }

    @Test("A mountinfo line tells whose root is an image's tree")
    func mountinfo() {
        let line = "155 122 0:56 / / rw,nosuid - overlay /var/lib/my\\040plane/images/a/rootfs rw,lowerdir=/x"
        #expect(ImageUse.rootSource(of: Substring(line)) == "/var/lib/my plane/images/a/rootfs")
        #expect(ImageUse.rootSource(of: "155 122 0:56 / /x rw shared:1 - overlay /a rw") == nil)
        #expect(ImageUse.rootSource(of: "155 122 8:1 / / rw shared:1 master:2 - ext4 /dev/sda rw") == nil)
        #expect(ImageUse.rootSource(of: "155 122 0:5 / / rw - overlay") == nil && ImageUse.rootSource(of: "") == nil)
        #expect(ImageUse.name(in: "9:cpu:/\n0::/plane/b-1\n") == "sandbox b-1")
        #expect(ImageUse.backend(in: Array("A=1\u{0}SESSION_BACKEND_ID=b-1\u{0}".utf8)) == "backend b-1")
        #expect(ImageUse.backend(in: Array("A=1\u{0}".utf8)) == nil)
        #expect(ImageUse.name(in: "0::/x/run-77\n") == "plane run (process 77)" && ImageUse.name(in: "0::/\n") == nil)
    }
}
