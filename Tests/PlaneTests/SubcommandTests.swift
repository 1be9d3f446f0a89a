import Linux
import Model
import Testing

@testable import plane

@Suite("What subcommands take")
struct SubcommandTests {
    private func sentence(_ words: [String]) -> String? {
        do throws(UsageError) {
            _ = try CommandChoice(words, in: Plane.commands)
            return nil
        } catch { return error.sentence }
    }

    @Test(
        "Wrong words are answered with the right ones",
        arguments: [
            (["conect"], "\"conect\" is not a subcommand of plane; did you mean connect?"),
            (["image", "biuld"], "\"biuld\" is not a subcommand of plane image; did you mean build?"),
            (["image"], "plane image needs one of: build, import, ls, inspect, rm"),
            (["image", "import"], "plane image import needs SOURCE [-- COMMAND…]"),
            (["run", "--imag", "x"], "--imag is not a flag of plane run; did you mean --image?"),
            (["run"], "plane run needs --image NAME or --rootfs DIR"),
            (["run", "--image", "a", "--rootfs", "/"], "--image and --rootfs exclude each other"),
            (["run", "--rootfs", "/"], "with --rootfs a command is needed: plane run --rootfs DIR -- COMMAND…"),
            (
                ["run", "--image", "a", "--env", "1A=b"],
                "--env 1A=b: write NAME=VALUE, the name of A-Z a-z 0-9 and _"
            ),
            (["run", "--image", "a", "--env", "PORT=1"], "--env PORT: is set by Plane itself"),
            (["run", "--image", "a", "--workdir", "x"], "--workdir x: write an absolute path inside the image"),
            (["dev", "--port", "70000"], "--port 70000: write a whole number from 0 to 65535"),
            (["dev", "--user", "0"], "--user 0: write a whole number from 1 to 2147483647"),
            (["connect"], "plane connect needs --image or --key"),
            (["controller"], "plane controller needs --db FILE|URL"),
            (["drain"], "plane drain needs DRONE"), (["revoke", "b"], "plane revoke needs BACKEND USER"),
            (["drain", "dr-1", "--timeout", "5s"], "--timeout is for --wait; say both"),
            (["drain", "dr-1", "--deadline", "10"], "--deadline 10: write a time such as 90s, 10m, 1h30m or 2d"),
            (
                ["connect", "--key", "a", "--wait", "ready", "--immediate"],
                "--immediate and --wait ready exclude each other"
            ),
            (["status", "a", "b"], "plane status takes BACKEND, and \"b\" is too many"),
        ])
    func refusals(words: [String], expected: String) { #expect(sentence(words) == expected) }

    @Test(
        "Values that a type refuses name their flag",
        arguments: [
            (["run", "--image", "../x"], "--image: "),
            (["drone", "--controller-url", "x", "--cluster", "a"], "--controller-url: "),
            (["drone", "--controller-url", "http://a", "--cluster", "a b"], "--cluster: "),
            (["drone", "--controller-url", "http://a", "--cluster", "a", "--name", "x"], "--name: "),
            (["drone", "--cluster", "a"], "plane drone needs --controller-url URL, once for each controller"),
            (
                ["drone", "--cluster", "a", "--controller-url", "http://a", "--controller-url", "b"],
                "--controller-url: "
            ),
            (["drone", "--cluster", "a", "--controller-url", "http://a", "--offer-memory", "2"], "--offer-memory 2: "),
            (["drone", "--cluster", "a", "--controller-url", "http://a", "--offer-cpus", "0"], "--offer-cpus 0: "),
            (["connect", "--key", String(repeating: "k", count: 300)], "--key: "),
            (["connect", "--image", "a", "--id", "Not A Name"], "--id: "),
            (["connect", "--key", "a", "--wait", "soon"], "--wait: "), (["drain", "host"], "DRONE: "),
            (["undrain", "host"], "DRONE: "), (["revoke", "B", "u"], "BACKEND: "), (["revoke", "b", "u\n"], "USER: "),
            (["keys", ""], "KEY: "), (["ls", "--drone", "x"], "--drone: "),
            (["drones", "--cluster", "a b"], "--cluster: "),
            (["controller", "--db", "x", "--forward-auth", "https://a"], "--forward-auth: "),
            (["controller", "--db", "x", "--forward-auth", "http://me@a"], "--forward-auth: "),
            (["controller", "--db", "x", "--host", "0.0.0.0"], "on 0.0.0.0:8080 anybody "),
            (["controller", "--db", "x", "--host", "0.0.0.0", "--drone-secrets", "f"], "on 0.0.0.0:8080 anybody "),
            (["dev", "--host", "0.0.0.0"], "on 0.0.0.0:8080 anybody "),
            (["terminate", "Not A Name"], "BACKEND: "), (["image", "rm", "../x"], "\"../x\" is not an image name"),
            (["controller", "--db", "x", "--host", "example.org"], "--host example.org: "),
            (["controller", "--db", "x", "--lease-soft-ms", "100"], "--lease-…-ms: "),
            (["dev", "--lease-expiry-ms", "50000"], "--lease-…-ms: "),
            (["dev", "--state", "relative"], "--state relative: "), (["dev", "--state", "/a:b"], "--state /a:b: "),
            (["image", "import", "/x/My App.tar"], "/x/My App.tar gives no image's name ("),
            (["image", "import", "x", "--max-mib", "0"], "--max-mib 0: "),
            (["dev", "--state", "/"], "--state /: "), (["ls", "--controller", "here"], "--controller: "),
        ])
    func values(words: [String], start: String) throws {
        let said = try #require(sentence(words))
        #expect(said.hasPrefix(start), "\(said)")
    }

    @Test(
        "A controller that others reach is taken with any of what says who may call it",
        arguments: [["--api-tokens", "f"], ["--forward-auth", "http://a/check"], ["--allow-anonymous"]])
    func access(words: [String]) {
        #expect(sentence(["controller", "--db", "x", "--host", "0.0.0.0"] + words) == nil)
    }

    @Test(
        "Times are numbers with units, from the largest to the smallest",
        arguments: [
            ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1d1h1m1s", 90_061), ("0s", 0), ("", nil),
            ("10", nil), ("m", nil), ("1m1h", nil), ("1s1s", nil), ("-1s", nil), ("1.5h", nil), ("1 m", nil),
            ("99999999999999999999s", nil), ("9999999999999999d", nil), ("٣s", nil),
        ] as [(String, Int64?)])
    func times(text: String, seconds: Int64?) { #expect(DurationFlag.parse(text) == seconds) }

    @Test("plane dev gives each process words that it understands")
    func developmentPlan() throws {
        let arguments = try Arguments(["--state", "/srv/plane/"], DevCommand.syntax)
        let plan = DevelopmentPlan(
            state: try StateFolder(arguments), controller: .loopback(8080), proxy: SocketAddress(host: 0, port: 9090),
            userID: 63180, limits: .asOffered, leaseWords: ["--lease-renew-ms", "500"], poolSize: 3,
            accessWords: ["--allow-anonymous"])
        let controller = plan.words(of: .controller)
        let drone = plan.words(of: .drone)
        #expect(sentence(controller) == nil)
        #expect(sentence(drone) == nil)
        #expect(controller.contains("/srv/plane/controller/plane.db"))
        #expect(controller.contains("--lease-renew-ms") && controller.contains("--allow-anonymous"))
        #expect(drone.contains("localhost:9090") && drone.contains("0.0.0.0") && drone.contains("--stop-backends"))
        for words in [drone, plan.words(of: .warden)] { #expect(words.contains("--allow-missing-controllers")) }
        for role in [DevelopmentPlan.Role.controller, .warden, .drone] {
            #expect(plan.words(of: role).contains("--end-with-parent"))
        }
        #expect(plan.controllerURL == "http://127.0.0.1:8080")
    }

    @Test("They end in the opposite order of their start: the drone's backends first, the history last")
    func order() {
        let roles: [DevelopmentPlan.Role] = [.warden, .drone, .controller]
        #expect(roles.max() == .drone)
        #expect(roles.min() == .controller)
    }

    @Test("A told status becomes one line with the reason in it")
    func toldStatus() throws {
        let json = try JSONValue(
            parsing: Array(
                #"{"status":"terminated","time":1700000000000,"termination_reason":"swept","message":"Idle.","exit_error":false}"#
                    .utf8))
        #expect(try ToldStatus(json).line == "terminated at 2023-11-14T22:13:20Z (swept: Idle.)")
        #expect(throws: InvalidValue.self) { try ToldStatus(.object(["status": .string("napping")])) }
    }
}
