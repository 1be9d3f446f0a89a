import Glibc
import HTTP
import Linux
import Model
import Synchronization
import Testing
import WardenProtocol

@testable import Drone

@Suite("The drone process")
struct DroneServerTests {
    @Test("Root is refused unless the drone is told whom to become")
    func refusesRoot() throws {
        try #require(geteuid() == 0, "these tests run as root")
        let site = try TestSite()
        defer { site.end() }
        let refusal = try Run(site.configuration { $0.identity = .caller }).outcome()
        #expect(refusal?.description.hasPrefix("must not run as root") == true)
        let becomesRoot = try Run(site.configuration { $0.identity = .user(0, group: 0) }).outcome()
        #expect(becomesRoot?.description.hasPrefix("must not run as root") == true)
    }

    @Test("A port that is taken is refused by its number")
    func portTaken() throws {
        let site = try TestSite()
        defer { site.end() }
        let taken = site.upstream.address
        let refusal = try Run(site.configuration { $0.proxyAddress = taken }).outcome()
        #expect(refusal?.description.contains("cannot listen on \(taken): another program") == true)
    }

    @Test("It gives up every privilege, serves, and SIGTERM ends it with its backends left alone")
    func wholeProcess() throws {
        let site = try TestSite(wardenOwner: DroneConfiguration.defaultUser)
        defer { site.end() }
        let run = try Run(site.configuration { $0.proxyAddress = .loopback(0) })
        try site.wait(for: "hello") { !site.controller.hellos.isEmpty }
        let status = try run.status()
        for line in [
            "Uid:\t63180\t63180\t63180\t63180", "Gid:\t63180\t63180\t63180\t63180", "CapEff:\t0000000000000000",
        ] {
            #expect(status.contains(line), "\(status)")
        }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        run.signal(SIGTERM)
        #expect(run.outcome() == nil)
        #expect(site.warden.sandboxes.count == 1)
    }

    @Test("With its backends to be stopped, SIGTERM ends them first")
    func stopsBackends() throws {
        let site = try TestSite(wardenOwner: DroneConfiguration.defaultUser)
        defer { site.end() }
        let run = try Run(
            site.configuration {
                $0.proxyAddress = .loopback(0)
                $0.stop = .stopBackends
            })
        try site.wait(for: "hello") { !site.controller.hellos.isEmpty }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        run.signal(SIGTERM)
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
        #expect(site.controller.states(of: "demo1").last?.message?.hasPrefix("Its drone was stopped.") == true)
        let backend = try BackendID("demo1")
        try site.wait(for: "forget") { site.warden.requests.contains(.forget(backend)) }
        #expect(run.outcome() == nil)
    }
}

/// `DroneServer.run` on a thread of its own: credentials, blocked signals and the loop are a thread's.
private final class Run: Sendable {
    private struct State {
        /// `PID/task/TID`
        var threadPath = ""
        var refusal: DroneRefusal?
    }

    private let state = Mutex(State())
    private let configuration: DroneConfiguration
    private let thread: Mutex<pthread_t?> = Mutex(nil)

    init(_ configuration: DroneConfiguration) throws {
        self.configuration = configuration
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Run>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        try #require(code == 0)
        thread.withLock { $0 = handle }
    }

    private func body() {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/thread-self", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        state.withLock { $0.threadPath = path }
        do throws(DroneRefusal) {
            try DroneServer.run(configuration)
        } catch {
            state.withLock { $0.refusal = error }
        }
    }

    /// What the kernel says of the thread.
    func status() throws -> String { try File.readText("/proc/\(state.withLock { $0.threadPath })/status") }

    func signal(_ number: Int32) {
        thread.withLock { if let handle = $0 { _ = pthread_kill(handle, number) } }
    }

    /// Waits for its end. - Returns: why it refused, if it did.
    func outcome() -> DroneRefusal? {
        let handle = thread.withLock { $0.take() }
        if let handle { pthread_join(handle, nil) }
        return state.withLock { $0.refusal }
    }
}
