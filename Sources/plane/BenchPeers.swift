import Glibc
import Linux
import Model
import Policy

/// The programs that Plane is measured beside, set up to do the same.
enum BenchPeers {
    /// One that takes part, or the reason why it does not.
    struct Peer {
        let name: String
        private let outcome: Outcome

        private enum Outcome {
            case takesPart(any BenchContender)
            case isMissing(String)
        }

        init(_ name: String, takesPart contender: any BenchContender) {
            self.name = name
            outcome = .takesPart(contender)
        }

        init(_ name: String, missing sentence: String) {
            self.name = name
            outcome = .isMissing(sentence)
        }

        /// Itself, or nothing.
        var contenders: [any BenchContender] {
            if case .takesPart(let contender) = outcome { [contender] } else { [] }
        }

        /// Why it takes no part, and what to do.
        var missing: String? {
            if case .isMissing(let sentence) = outcome { sentence } else { nil }
        }
    }

    /// `bwrap --unshare-all` with the mounts of a sandbox.
    static func bubblewrap(_ site: BenchSite) -> Peer {
        let name = "bwrap"
        guard let program = find("bwrap") else {
            return Peer(name, missing: "bubblewrap is not installed: apt install bubblewrap")
        }
        let words = [
            program, "--unshare-all", "--ro-bind", site.root(of: .stamp), "/", "--proc", "/proc", "--dev", "/dev",
            "--mqueue", "/dev/mqueue", "--tmpfs", "/tmp", "--hostname", "sandbox", "--cap-drop", "ALL",
            "--new-session", "--die-with-parent", BenchPayload.pathInside,
        ]
        return tried(ProgramContender(name, words))
    }

    /// `crun run` with the engines' system call list. Without a cgroup of its own, which spares it some work.
    static func crun(_ site: BenchSite) -> Peer {
        let name = "crun+seccomp"
        guard let program = find("crun") else { return Peer(name, missing: "crun is not installed: apt install crun") }
        do {
            let bundle = site.path + "/bundle"
            try makeBundle(site, bundle)
            let words = [
                program, "--root", site.path + "/crun", "--cgroup-manager=disabled", "run", "--bundle", bundle,
            ]
            let view = try BenchMountView.ofPlainCgroups()
            return tried(ProgramContender(name, words, in: view) { ["plane-bench-\(getpid())-\($0)"] })
        } catch { return Peer(name, missing: "\(error)") }
    }

    /// `plane run`, as a person calls it.
    static func planeRun(_ site: BenchSite) throws -> Peer {
        let words = [
            try CurrentProcess.executablePath(), "run", "--state", site.state, "--image",
            BenchPayload.stamp.rawValue, "--allow-missing-controllers",
        ]
        return tried(ProgramContender("plane-run", words))
    }

    private static func makeBundle(_ site: BenchSite, _ bundle: String) throws {
        guard let text = try? File.read(BenchBundle.profilePath) else {
            throw CommandFailure(
                "\(BenchBundle.profilePath), the system call list of container engines, is missing: "
                    + "apt install golang-github-containers-common")
        }
        let profile = try JSONValue(parsing: text)
        let calls: JSONValue
        do throws(CommandFailure) {
            calls = try BenchBundle.systemCalls(profile, architecture: "\(Architecture.native)")
        } catch { throw CommandFailure("\(BenchBundle.profilePath) cannot be used: \(error)") }
        let configuration = BenchBundle.configuration(root: site.root(of: .stamp), systemCalls: calls)
        try File.makeDirectories(bundle, mode: 0o755)
        try site.write(Array(configuration.text.utf8), to: bundle + "/config.json", mode: 0o644)
    }

    private static func tried(_ contender: ProgramContender) -> Peer {
        do {
            try contender.tryOnce()
            return Peer(contender.name, takesPart: contender)
        } catch { return Peer(contender.name, missing: "it cannot start the payload here: \(error)") }
    }

    private static func find(_ program: String) -> String? {
        ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"].map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }
}
