import Linux
import Model
import Testing
import WardenProtocol

@testable import Drone

@Suite("A drone whose connections break")
struct DroneFaultTests {
    @Test(
        "Whenever links break, each backend is started at most once, never goes back, and ends known to everybody",
        arguments: 1...4)
    func brokenConnections(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        let names = (0..<12).map { "demo\($0)" }
        for step in 0..<36 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: site.controller.cut()
            case 1: site.warden.cut()
            case 2: try site.startDrone()
            case 3:
                let kind = TerminationKind.allCases.randomElement(using: &random) ?? .hard
                let name = names.randomElement(using: &random) ?? "demo0"
                // Only what the drone was told of; the unknown is answered with its end, which has a test of its own.
                guard !site.controller.states(of: name).isEmpty else { break }
                site.controller.send(.terminate(backend: name, kind: kind, reason: .external))
            default:
                let name = names[step % names.count]
                // A controller orders what it knows to be over no more.
                if site.controller.states(of: name).last?.status != .terminated { site.order(name) }
            }
            try site.pass(.milliseconds(Int64.random(in: 0...60, using: &random)))
        }
        try converge(site, names)

        for name in names {
            let id = try BackendID(name)
            #expect((site.warden.starts[id] ?? 0) <= 1, "\(name)")
            // A drone process that has just started knows less than the one before; the controller keeps the further.
            var reached: [String: BackendStatus] = [:]
            var session = ""
            for message in site.controller.messages {
                if case .hello(let hello) = message { session = hello.process }
                guard case .state(name, _, let state) = message else { continue }
                let before = reached[session] ?? .scheduled
                #expect(state.status >= before, "\(name) went from \(before) back to \(state.status)")
                reached[session] = state.status
            }
            #expect(reached.values.max() == .terminated, "\(name)")
            #expect(site.warden.sandboxes[id] == nil, "\(name) is left")
        }
    }

    /// What a controller does by level: repeats what is not known to have arrived.
    private func converge(_ site: TestSite, _ names: [String]) throws {
        let deadline = BootInstant.now + .seconds(40)
        while BootInstant.now < deadline {
            for name in names {
                switch site.controller.states(of: name).last?.status {
                case nil: site.order(name)
                case .terminated?: break
                default: site.controller.send(.terminate(backend: name, kind: .hard, reason: .external))
                }
            }
            try site.pass(.milliseconds(200))
            let ended = names.allSatisfy { site.controller.states(of: $0).last?.status == .terminated }
            if ended, site.warden.sandboxes.isEmpty, site.drone?.backends.isEmpty == true { return }
        }
        Issue.record("it did not come to an end\n\(site.logged.text)")
    }
}
