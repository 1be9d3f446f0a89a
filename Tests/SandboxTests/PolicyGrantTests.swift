import Glibc
import Linux
import Model
import TestPrograms
import Testing

/// What a policy gives beyond the image, and takes within it: seen by real commands in a real sandbox.
extension SandboxTests {
    @Test("A read-only mount shows the host's folder and lets nothing in it change")
    func readOnlyMount() throws {
        let image = try BusyboxImage()
        let data = image.path + "/data"
        try File.makeDirectory(data, mode: 0o755)
        try File.open(data + "/text", O_WRONLY | O_CREAT, mode: 0o666).writeAll(Array("given\n".utf8))
        chmod(data + "/text", 0o666)
        let run = try SandboxRun.shell(
            "cat /srv/deep/data/text; echo x > /srv/deep/data/text || echo refused; mkdir /srv/deep/data/new || echo refused",
            image: image
        ) { plan in
            plan.mounts = [SandboxMount(source: .readOnly(path: data), target: "/srv/deep/data")]
        }
        #expect(run.output == "given\nrefused\nrefused\n", "\(run.errors)")
        #expect(try File.readText(data + "/text") == "given\n")
    }

    @Test("A volume keeps what was written, under the ids that files have inside, closed to the host's users")
    func volume() throws {
        let image = try BusyboxImage()
        let base = image.path + "/volumes"
        let mount = SandboxMount(source: .volume(base: base, name: "home"), target: "/home")
        let first = try SandboxRun.shell("echo kept > /home/note; ls -ln /home/note | cut -c1-10", image: image) {
            $0.mounts = [mount]
        }
        #expect(first.status == .exited(code: 0), "\(first.errors)")
        let second = try SandboxRun.shell("cat /home/note; ls -ln /home | grep -c ' 1000 *1000 '", image: image) {
            $0.mounts = [mount]
        }
        #expect(second.output == "kept\n1\n", "\(second.errors)")
        #expect(File.status(base + "/home/note")?.userID == 1000)
        #expect(File.status(base)?.mode == 0o700)
        // nosuid, whatever mode a program gives its file.
        let third = try SandboxRun.shell("grep ' /home ' /proc/self/mountinfo | grep -o nosuid,nodev", image: image) {
            $0.mounts = [mount]
        }
        #expect(third.output == "nosuid,nodev\n")
    }

    @Test("A volume's base that others can enter is refused")
    func openVolumeBase() throws {
        let image = try BusyboxImage()
        let base = image.path + "/volumes"
        try File.makeDirectory(base, mode: 0o755)
        chmod(base, 0o755)
        let run = try SandboxRun.shell("true", image: image) {
            $0.mounts = [SandboxMount(source: .volume(base: base, name: "home"), target: "/home")]
        }
        #expect(run.status == .exited(code: 1))
        #expect(run.errors.contains("must belong to root and be closed to others"), "\(run.errors)")
    }

    @Test("Landlock rules hold within what owners allow", .enabled(if: LandlockRuleset.version() >= 4))
    func landlockRules() throws {
        let image = try BusyboxImage()
        var rules = LandlockRules()
        rules.executable = ["/bin"]
        rules.readable = ["/etc"]
        rules.writable = ["/tmp"]
        rules.listenPorts = [8080]
        let script = """
            echo a > /tmp/a && cat /tmp/a; echo b > /etc/b || echo write refused; ls / >/dev/null || echo list refused
            cp /bin/busybox /tmp/true; chmod +x /tmp/true; /tmp/true true || echo run refused
            timeout 1 nc -l -p 8081 || echo port refused
            """
        let run = try SandboxRun.shell(script, image: image) { $0.landlock = rules }
        #expect(run.output == "a\nwrite refused\nlist refused\nrun refused\nport refused\n", "\(run.errors)")
        let free = try SandboxRun.shell(
            "ls / >/dev/null && echo listed; cp /bin/busybox /tmp/true && /tmp/true && echo ran", image: image)
        #expect(free.output == "listed\nran\n", "\(free.errors)")
    }

    @Test("A Landlock rule for a path that the image lacks keeps the sandbox from starting, and is named")
    func landlockWithoutPath() throws {
        let image = try BusyboxImage()
        var rules = LandlockRules()
        rules.readable = ["/absent"]
        let run = try SandboxRun.shell("true", image: image) { $0.landlock = rules }
        #expect(run.status == .exited(code: 1))
        #expect(run.errors.contains("Landlock") && run.errors.contains("/absent"), "\(run.errors)")
    }

    @Test("A capability that the policy leaves works in the sandbox, and no other is there")
    func keptCapability() throws {
        let image = try BusyboxImage()
        let script = "grep CapEff /proc/self/status; touch /tmp/f; chown 7:7 /tmp/f && stat -c %u /tmp/f"
        let kept = try SandboxRun.shell(script, image: image) { $0.capabilities = [.changeOwners] }
        #expect(kept.output == "CapEff:\t0000000000000001\n7\n", "\(kept.errors)")
        let without = try SandboxRun.shell(script, image: image)
        #expect(without.output == "CapEff:\t0000000000000000\n")
    }

    @Test("A device of the policy is in /dev, with the host's numbers; one that the host lacks is named")
    func devices() throws {
        let image = try BusyboxImage()
        for device in [SandboxDevice.kvm, .nvidia] {
            let run = try SandboxRun.shell("stat -c %F /dev/\(device.path); ls /dev/null /dev/shm -d", image: image) {
                $0.devices = [device]
            }
            if File.status("/dev/" + device.path) == nil {
                #expect(run.status == .exited(code: 1))
                #expect(run.errors.contains("/dev/\(device.path)"), "\(run.errors)")
            } else {
                #expect(run.output == "character special file\n/dev/null\n/dev/shm\n", "\(run.errors)")
            }
        }
    }
}
