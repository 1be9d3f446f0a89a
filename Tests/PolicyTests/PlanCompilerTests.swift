import Glibc
import Model
import Testing

@testable import Policy

@Suite("Compiling images and policies")
final class PlanCompilerTests {
    private let folder: TemporaryFolder
    private var images: String { folder.path + "/images" }
    private var policies: String { folder.path + "/policies" }

    init() throws {
        folder = try TemporaryFolder()
        try folder.makeFolder("images")
        try folder.makeFolder("policies")
    }

    private func addImage(_ name: String, manifest: String? = nil) throws {
        try folder.makeFolder("images/\(name)")
        try folder.makeFolder("images/\(name)/rootfs")
        try folder.write(
            "images/\(name)/manifest.json", manifest ?? #"{"name": "\#(name)", "command": ["/bin/sh"]}"#)
    }

    private func compile(_ trust: FileTrust = .rootOwned) throws -> CompiledPlans {
        try PlanCompiler.compile(imagesPath: images, policiesPath: policies, trust: trust)
    }

    @Test("A manifest and a policy become one plan, and the plan survives its encoding")
    func plan() throws {
        try addImage(
            "repl",
            manifest: """
                {"name": "repl", "command": ["/usr/bin/python3", "-I", "server.py"], "port": 9000,
                 "environment": {"LANG": "C.UTF-8", "HOME": "/home/user"}, "working_directory": "/home/user"}
                """)
        try folder.write(
            "policies/repl.json",
            """
            {"command_user": {"uid": 5, "gid": 6}, "hostname": "repl", "environment": {"LANG": "de_DE.UTF-8"},
             "limits": {"memory": "512MiB", "swap": "1MiB", "cpus": 1.5, "cpu_period": "50ms", "pids": 64,
                        "cpu_time": "10m", "disk": "256MiB", "disk_files": 99, "open_files": 77,
                        "shared_memory": "8MiB"},
             "readiness": {"timeout": "20s"}, "grace_period": "5s", "seccomp": {"deny": ["socket"]}}
            """)
        let compiled = try compile()
        #expect(compiled.errors == [])
        var seccomp = SystemCallPolicy()
        seccomp.deny = ["socket"]
        var expected = SandboxPlan(
            image: try ImageName("repl"), rootPath: images + "/repl/rootfs",
            command: ["/usr/bin/python3", "-I", "server.py"],
            environment: ["HOME=/home/user", "LANG=de_DE.UTF-8"], workingDirectory: "/home/user", port: 9000,
            readiness: SandboxPlan.Readiness(port: 9000, timeoutSeconds: 20), userID: 5, groupID: 6, hostname: "repl",
            cgroup: .init(
                memoryMaxBytes: 512 << 20, swapMaxBytes: 1 << 20, cpuQuotaMicroseconds: 75_000,
                cpuPeriodMicroseconds: 50_000, pidsMax: 64),
            diskBytes: 256 << 20, diskInodes: 99, sharedMemoryBytes: 8 << 20, openFilesMax: 77, cpuTimeSeconds: 600,
            filter: SeccompProgram(seccomp).bytes, gracePeriodSeconds: 5)
        expected.filterMoment = .beforeLaunch
        #expect(compiled.plans == [expected])

        var reader = WireReader(PlanCompiler.encode(compiled.plans))
        #expect(try reader.readCount(limit: 10) == 1)
        #expect(try SandboxPlan(from: &reader) == expected)
        #expect(reader.isAtEnd)
    }

    @Test("Everything that a policy gives and takes is in the plan, and survives its encoding")
    func wholePlan() throws {
        try addImage("repl")
        try folder.write("policies/repl.json", PolicyCorpus.everyField)
        let compiled = try compile()
        #expect(compiled.errors == [])
        let plan = try #require(compiled.plans.first)
        let policy = try PolicyFile.parse(PolicyCorpus.everyField, name: "repl.json")
        #expect(plan.command == ["/usr/bin/python3", "-m", "notebook"])
        #expect(plan.readiness == .init(port: 8080, path: "/api?x=%20", timeoutSeconds: 120))
        #expect(
            plan.mounts == [
                SandboxMount(source: .readOnly(path: "/srv/data"), target: "/data"),
                SandboxMount(source: .volume(base: "/srv/volumes", name: "notebooks"), target: "/data/notebooks"),
            ])
        #expect(plan.devices == [.render, .kvm])
        #expect(plan.capabilities == [.changeOwners, .bindLowPorts])
        #expect(plan.landlock == policy.landlock)
        #expect(plan.cgroup.memoryHighBytes == 1_800_000_000)
        #expect(plan.cgroup.cpuWeight == 50)
        #expect(plan.cgroup.ioWeight == 200)
        #expect(plan.cgroup.io == policy.limits.io)
        #expect(plan.lifetimeSeconds == 86_400)
        #expect(plan.idleSeconds == 1800)
        #expect(plan.filter == SeccompProgram(policy.seccomp).bytes)

        var reader = WireReader(PlanCompiler.encode(compiled.plans))
        #expect(try reader.readCount(limit: 10) == 1)
        #expect(try SandboxPlan(from: &reader) == plan)
        #expect(reader.isAtEnd)
    }

    @Test("The largest variable that passes fits into a plan, and one byte more is refused")
    func largestVariable() throws {
        try addImage("repl")
        func compile(bytes: Int) throws -> CompiledPlans {
            let value = String(repeating: "x", count: bytes - 2)
            try folder.write("policies/repl.json", #"{"environment": {"A": "\#(value)"}}"#)
            return try self.compile()
        }
        let plans = try compile(bytes: Executable.environmentBytesMax).plans
        var reader = WireReader(PlanCompiler.encode(plans))
        #expect(try reader.readCount(limit: 1) == 1)
        #expect(try SandboxPlan(from: &reader) == plans.first)
        #expect(
            try compile(bytes: Executable.environmentBytesMax + 1).errors.map(\.description) == [
                "policy repl.json: environment: is 32769 bytes long; at most 32768 are allowed"
            ])
    }

    @Test("Volumes of a policy that names no base are beside the folder of policies")
    func volumes() throws {
        try addImage("repl")
        try folder.write("policies/repl.json", #"{"mounts": [{"volume": "v", "at": "/v"}]}"#)
        let volume = SandboxMount.Source.volume(base: "\(folder.path)/volumes", name: "v")
        #expect(try compile().plans.first?.mounts.map(\.source) == [volume])
    }

    @Test("A policy under which the image cannot listen on its own port is an error that names the policy")
    func portNotListenedOn() throws {
        try addImage("repl")
        try folder.write("policies/default.json", #"{"landlock": {"execute": ["/"], "listen": [80]}}"#)
        #expect(
            try compile().errors.map(\.description) == [
                "policy default.json: landlock.listen: lacks 8080, which is the port of image repl; add it"
            ])
    }

    @Test("A folder of policies must be named so that its neighbour is known")
    func policiesPath() {
        for path in ["policies", "/a/../policies"] {
            #expect(throws: PolicyError.self) {
                try PlanCompiler.compile(imagesPath: images, policiesPath: path, trust: .anyOwner)
            }
        }
    }

    @Test("An image takes its own policy, else default.json, else the built-in default")
    func whichPolicy() throws {
        try addImage("own")
        try addImage("other")
        #expect(try compile().plans.map(\.cgroup.pidsMax) == [256, 256])
        try folder.write("policies/default.json", #"{"limits": {"pids": 10}}"#)
        try folder.write("policies/own.json", #"{"limits": {"pids": 20}}"#)
        #expect(try compile().plans.map(\.cgroup.pidsMax) == [10, 20])
        let bare = try PlanCompiler.compile(
            imagesPath: images, policiesPath: folder.path + "/missing", trust: .rootOwned)
        #expect(bare.plans.map(\.cgroup.pidsMax) == [256, 256])
    }

    @Test("A broken image or policy hides no other, and never falls back to another policy")
    func brokenHidesNoOther() throws {
        for name in ["a", "b", "c", "d"] { try addImage(name) }
        try folder.write("policies/b.json", #"{"limits": {"memory": "2 GB"}}"#)
        try folder.write("images/c/manifest.json", #"{"name": "x", "command": ["/bin/sh"]}"#)
        try folder.makeFolder("images/Bad Name")
        try folder.makeFolder("images/.half-built")
        let compiled = try compile()
        #expect(compiled.plans.map(\.image.text) == ["a", "d"])
        #expect(
            compiled.errors.map(\.description) == [
                "images: \(images)/Bad Name: \"Bad Name\" is not an image name; use 1 to 64 of a-z 0-9 . - _, "
                    + "beginning with a letter, a digit or _",
                #"policy b.json: limits.memory: "2 GB" is not a size; write "2GiB" or "2000MB""#,
                #"image c: manifest.json: name: "x" is not the folder's name; write "c""#,
            ])
    }

    static let badManifests: [(String, String)] = [
        (#"{"command": ["/bin/sh"]}"#, #"name: is missing; write "m""#),
        (
            #"{"name": "m"}"#,
            #"command: is missing; write the program and its arguments, ["/bin/sh"]"#
        ),
        (
            #"{"name": "m", "command": []}"#,
            #"command: is empty; write the program and its arguments, ["/bin/sh"]"#
        ),
        (
            #"{"name": "m", "command": ["sh"]}"#,
            #"command[0]: "sh" is not an absolute path; write one that begins with / and has no .."#
        ),
        (#"{"name": "m", "command": ["/bin/sh", 1]}"#, "command[1]: is an integer; write a string"),
        (
            #"{"name": "m", "command": ["/bin/sh"], "port": 0}"#,
            "port: 0 is out of range; allowed are 1 to 65535"
        ),
        (
            #"{"name": "m", "command": ["/bin/sh"], "working_directory": "/a/../b"}"#,
            #"working_directory: "/a/../b" is not an absolute path; write one that begins with / and has no .."#
        ),
        (
            #"{"name": "m", "command": ["/bin/sh"], "user": 0}"#,
            "user: is not a known field; known are command, digest, environment, name, port, source, working_directory"
        ),
        (
            #"{"name": "m", "command": ["/bin/sh"], "environment": {"SESSION_BACKEND_ID": "x"}}"#,
            "environment.SESSION_BACKEND_ID: is set by Plane itself; take it out"
        ),
    ]

    @Test("A wrong manifest is refused with field and what is allowed", arguments: badManifests)
    func badManifest(_ text: String, _ message: String) throws {
        let name = try ImageName("m")
        let error = #expect(throws: PolicyError.self) { try ImageManifest.parse(Array(text.utf8), name: name) }
        #expect(error?.description == "image m: manifest.json: " + message)
    }

    @Test("A manifest written as JSON is read back the same")
    func manifestRoundTrip() throws {
        let manifest = ImageManifest(
            name: try ImageName("m"), command: ["/bin/sh", "-c", "true"], port: 81, environment: ["A": "b"],
            workingDirectory: "/srv")
        let members = try #require(manifest.json.members)
        #expect(members["port"] == .integer(81))
        #expect(Set(members.keys) == ["name", "command", "port", "environment", "working_directory"])
    }

    @Test("What others than root could change is refused with the command that mends it")
    func trust() throws {
        try addImage("a")
        let policy = try folder.write("policies/a.json", "{}")
        let manifest = "\(images)/a/manifest.json"
        func onlyError() throws -> String? {
            let compiled = try compile()
            #expect(compiled.plans.count + compiled.errors.count == 1)
            return compiled.errors.first?.description
        }
        #expect(try onlyError() == nil)

        chmod(policy, 0o664)
        #expect(
            try onlyError() == "policy a.json: \(policy): can be written by others than root (mode 664); "
                + "run: chmod go-w \(policy)")
        #expect(try compile(.anyOwner).plans.count == 1)
        chmod(policy, 0o600)
        chown(policy, 1234, 0)
        #expect(
            try onlyError() == "policy a.json: \(policy): belongs to user 1234, not to root; "
                + "run: chown root:root \(policy)")
        unlink(policy)
        symlink("/etc/hostname", policy)
        #expect(
            try onlyError() == "policy a.json: \(policy): is a symbolic link; put the file itself there")
        unlink(policy)

        chmod("\(images)/a/rootfs", 0o777)
        #expect(try onlyError()?.contains("rootfs: can be written by others") == true)
        chmod("\(images)/a/rootfs", 0o755)
        chown(manifest, 99, 99)
        #expect(try onlyError()?.contains("belongs to user 99") == true)
        chown(manifest, 0, 0)
        #expect(try onlyError() == nil)

        chmod(images, 0o775)
        #expect(throws: PolicyError.self) { try self.compile() }
        chmod(images, 0o755)
        chown(folder.path, 99, 99)
        let ancestor = #expect(throws: PolicyError.self) { try self.compile() }
        #expect(ancestor?.place == folder.path)
        chown(folder.path, 0, 0)
        #expect(try onlyError() == nil)
    }

    @Test("A FIFO in place of a policy is refused and does not block")
    func fifo() throws {
        try addImage("a")
        mkfifo("\(policies)/a.json", 0o600)
        #expect(try compile().errors.map(\.problem) == ["is not a regular file"])
    }

    @Test(
        "A filter that refuses what a launch needs is put on after it", arguments: ["dup2", "recvmsg", "close_range"])
    func filterMoment(call: String) throws {
        try addImage("a")
        try folder.write("policies/a.json", #"{"seccomp": {"deny": ["ptrace"]}}"#)
        #expect(try compile().plans.map(\.filterMoment) == [.beforeLaunch])
        try folder.write("policies/a.json", #"{"seccomp": {"deny": ["\#(call)"]}}"#)
        #expect(try compile().plans.map(\.filterMoment) == [.beforeExec])
    }

    @Test("A missing images folder is an error that says what to do")
    func missing() throws {
        let error = #expect(throws: PolicyError.self) {
            try PlanCompiler.compile(imagesPath: "/nowhere/images", policiesPath: policies, trust: .rootOwned)
        }
        #expect(
            error?.description == "images: /nowhere/images: is not there; build an image into it first")
    }
}
