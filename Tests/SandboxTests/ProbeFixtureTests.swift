import Glibc
import Linux
import Model
import Sandbox
import TestPrograms
import Testing

/// Attacks that lie in the image, in a shared volume or in the request, and act while the sandbox is being made. What they
/// are after is a folder of the host that must stay as it was. Links in place of /dev and /proc: `SandboxTests`.
extension ProbeTests {
    @Test("A mount whose target leads out of the image by a link is refused or contained", arguments: [false, true])
    func linkedMountTargets(absolute: Bool) throws {
        let image = try ProbeImage()
        let canary = try HostCanary(image)
        let link = absolute ? canary.path : "../../../../../../../.." + canary.path
        try #require(symlink(link, image.image.rootPath + "/data") == 0)
        let source = image.image.path + "/source"
        try #require(mkdir(source, 0o755) == 0)
        for target in ["/data", "/data/sub", "/data/inner/sub"] {
            _ = try image.run(["/bin/sh", "-c", "echo x >\(target)/new; touch /data/new"]) { plan in
                plan.mounts = [SandboxMount(source: .readOnly(path: source), target: target)]
            }
            #expect(try canary.isUntouched(), "\(target)")
        }
    }

    @Test("A working folder that is a descriptor of its maker, by name or through a link of the image, is refused")
    func descriptorsAsWorkingFolder() throws {
        let image = try ProbeImage()
        for number in 3...20 {
            let link = image.image.rootPath + "/work\(number)"
            try #require(symlink("/proc/self/fd/\(number)", link) == 0)
            for folder in ["/proc/self/fd/\(number)", "/proc/1/fd/\(number)", "/work\(number)"] {
                let run = try image.run(["/bin/sh", "-c", "pwd; ls -la . .."]) { $0.workingDirectory = folder }
                #expect(run.status == .exited(code: 1), "\(folder): \(run.output.prefix(300))")
                #expect(run.output.isEmpty, "\(folder)")
            }
        }
    }

    @Test("Devices that the image brings are covered: its /dev/null, terminal and console are links to elsewhere")
    func linkedDevices() throws {
        let image = try ProbeImage()
        let canary = try HostCanary(image)
        let devices = image.image.rootPath + "/dev"
        try #require(mkdir(devices, 0o755) == 0 && mkdir(devices + "/pts", 0o755) == 0)
        let links = [
            "null": "/proc/sys/kernel/core_pattern", "console": canary.path + "/console",
            "pts/0": canary.path + "/terminal", "ptmx": canary.path + "/ptmx", "shm": canary.path,
            "mqueue": canary.path, "fd": canary.path,
        ]
        for (name, target) in links { try #require(symlink(target, devices + "/" + name) == 0) }
        let pattern = try File.readText("/proc/sys/kernel/core_pattern")
        let probes = ["null-device", "console-device", "device-list", "proc-kcore", "core-pattern", "type-into-own"]
        let findings = try image.findings(without: [], probes: probes)
        for probe in probes { #expect(findings.verdict(probe) == .safe, "\(probe): \(findings.detail(probe))") }
        let run = try image.run(["/bin/sh", "-c", "echo core >/dev/null; echo x >/dev/shm/x; ls /dev/shm"])
        #expect(run.output == "x\n", "\(run.errors)")
        #expect(try File.readText("/proc/sys/kernel/core_pattern") == pattern)
        #expect(try canary.isUntouched())
    }

    @Test("A program of the image that names its starter's own file as interpreter cannot change that file")
    func interpreterTrap() throws {
        let image = try ProbeImage()
        let trap = image.image.rootPath + "/bin/trap"
        try File.open(trap, O_WRONLY | O_CREAT, mode: 0o755).writeAll(Array("#!/proc/self/exe\n".utf8))
        chmod(trap, 0o755)
        let before = try Self.hash(Program.built("plane-weak-warden"))
        _ = try image.run(["/bin/trap"])
        // And what an attacker does next: wait until the program ends, and write to what its link led to.
        _ = try image.run([
            "/bin/sh", "-c",
            "exec 3</proc/1/exe; exec 4</proc/self/exe; for f in 3 4; do echo x >/proc/self/fd/$f; done",
        ])
        #expect(try Self.hash(Program.built("plane-weak-warden")) == before)
    }

    @Test("A neighbour that swaps a shared volume's folder for a link, again and again, moves no mount out of it")
    func racedVolume() throws {
        let image = try ProbeImage()
        let canary = try HostCanary(image)
        let base = image.image.path + "/volumes"
        try #require(mkdir(base, 0o700) == 0)
        let volume = SandboxMount(source: .volume(base: base, name: "shared"), target: "/shared")
        let flipper = try image.start(["/probe", "flip", "/shared", canary.path]) { $0.mounts = [volume] }
        defer { flipper.end() }
        let stop = BootInstant.now + .seconds(10)
        var tries = 0
        var swapped = Set<Bool>()
        while tries < 1000, BootInstant.now < stop {
            tries += 1
            let run = try image.run(["/bin/sh", "-c", "echo x >/shared/spot/from-inside"]) { plan in
                plan.mounts = [
                    volume,
                    SandboxMount(source: .volume(base: base, name: "other"), target: "/shared/spot"),
                ]
            }
            swapped.insert(run.status == .exited(code: 0))
            #expect(try canary.isUntouched(), "try \(tries)")
        }
        #expect(tries > 20, "the race was hardly run")
        #expect(flipper.isRunning, "nothing was swapped: \(flipper.errors)")
    }

    private static func hash(_ path: String) throws -> String {
        try Program.run(["/usr/bin/sha256sum", path]).output
    }
}

/// A folder of the host with a file in it, by which it is seen whether anything has touched it.
struct HostCanary {
    let path: String
    private let before: String

    init(_ image: ProbeImage) throws {
        path = image.image.path + "/canary"
        try #require(mkdir(path, 0o777) == 0 && chmod(path, 0o777) == 0)
        try File.open(path + "/file", O_WRONLY | O_CREAT, mode: 0o666).writeAll(Array("untouched\n".utf8))
        before = try Self.state(path)
    }

    /// Whether its list, its content and all its times of change are what they were.
    func isUntouched() throws -> Bool { try Self.state(path) == before }

    private static func state(_ path: String) throws -> String {
        try Program.run(["/bin/sh", "-c", "stat -c '%n %s %a %u:%g %y %z' '\(path)' '\(path)'/*; cat '\(path)'/*"])
            .output
    }
}
