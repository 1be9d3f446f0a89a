import Glibc
import Linux
import Testing

@testable import plane

@Suite("Building images", .serialized)
struct ImageBuildTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write(#"{"name":"small","command":["/bin/true"],"port":80}"#, to: "recipe/image.json")
    }

    private func build(_ script: String, _ flags: [String] = []) throws -> PlaneProgram.Outcome {
        try folder.write("#!/bin/sh\n\(script)\n", to: "recipe/build", mode: 0o755)
        return try PlaneProgram.run(["image", "build", "\(folder.path)/recipe", "--state", folder.path] + flags)
    }

    private var images: [String] { get throws { try folder.names("images").filter { $0 != ".lock" } } }

    @Test("What the recipe made is there under its name, belongs to root and is listed")
    func whole() throws {
        let built = try build("mkdir $1/bin && echo hello > $1/bin/true && chmod 700 $1 && chown 1000 $1")
        #expect(built.status == 0, "\(built.errors)")
        let root = try #require(File.status("\(folder.path)/images/small/rootfs"))
        #expect(root.userID == 0 && root.mode == 0o755)
        let list = try PlaneProgram.run(["image", "ls", "--json", "--state", folder.path])
        #expect(list.output.contains(#""size_bytes":6"#) && list.output.contains(#""port":80"#))
    }

    @Test("Another name is written into the manifest too")
    func renamed() throws {
        #expect(try build("touch $1/x", ["--name", "other"]).status == 0)
        #expect(try images == ["other"])
        #expect(try File.readText("\(folder.path)/images/other/manifest.json").contains(#""name":"other""#))
    }

    @Test(
        "A recipe that fails leaves nothing, and the older image as it was",
        arguments: ["touch $1/half; exit 3", "kill -9 $$", "true"])
    func failure(script: String) throws {
        #expect(try build("echo first > $1/file").status == 0)
        let failed = try build(script)
        #expect(failed.status == 1)
        #expect(failed.errors.contains("\(folder.path)/recipe/build"))
        #expect(try images == ["small"])
        #expect(try File.readText("\(folder.path)/images/small/rootfs/file") == "first\n")
    }

    @Test("A manifest that is wrong is refused before anything is built")
    func manifest() throws {
        try folder.write(#"{"name":"small","command":["true"]}"#, to: "recipe/image.json")
        let failed = try build("touch /nowhere/else")
        #expect(failed.status == 1)
        #expect(failed.errors.contains("image.json") && failed.errors.contains("command[0]"))
        #expect(File.status("\(folder.path)/images") == nil)
    }

    @Test("A signal ends the build with all that it started, and leaves nothing")
    func interrupted() throws {
        // The descendant heeds no SIGTERM and has a session of its own; it reports by the fifo that it runs.
        mkfifo("\(folder.path)/fifo", 0o600)
        try folder.write(
            """
            #!/bin/bash
            trap 'exit 9' EXIT
            (trap '' TERM; setsid sh -c 'echo running > \(folder.path)/fifo; sleep 600; :') &
            touch $1/half
            wait
            """, to: "recipe/build", mode: 0o755)
        let started = try PlaneProgram.start(["image", "build", "\(folder.path)/recipe", "--state", folder.path])
        #expect(try hasReport("\(folder.path)/fifo"))
        kill(started.pid, SIGTERM)
        let outcome = try started.finish()
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("stopped by signal 15"))
        #expect(try images.isEmpty)
        #expect(try !PlaneProgram.isAnyRunning(mentioning: "\(folder.path)/fifo"))
    }

    /// Whether something is written into a fifo before long.
    private func hasReport(_ path: String) throws -> Bool {
        let fifo = try File.open(path, O_RDONLY | O_NONBLOCK)
        var watched = pollfd(fd: fifo.raw, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 20_000) == 1
    }
}
