import Drone
import Glibc
import HTTP
import Images
import Linux
import Model

/// One run of `plane bench controller`: keys grow from level to level; at each, new keys, known keys and silence are
/// measured.
struct BenchControllerRun {
    /// How much is measured.
    struct Extent {
        /// Numbers of keys at which figures are taken, growing.
        let levels: [Int]
        let drones: Int
        let callers: Int
        /// How long known keys are connected to at each level.
        let existingSeconds: Int64
        /// How long nothing but renewals happens at each level.
        let idleSeconds: Int64
        let folder: String
        let database: String?

        /// 1,000, 10,000 and so on, and the last.
        static func levels(upTo most: Int) -> [Int] {
            Array(sequence(first: 1000) { $0 * 10 }.prefix { $0 < most }) + [most]
        }
    }

    private let extent: Extent
    private let folder: String
    private let loop: EventLoop
    private let controller: BenchControllerProcess
    private let fleet: BenchFleet
    private let clients: BenchClients

    init(_ extent: Extent) throws {
        self.extent = extent
        var template = Array("\(extent.folder)/plane-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno, "mkdtemp in \(extent.folder)") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        // Started by root, the controller becomes another user, whose database it is.
        if geteuid() == 0 { chown(folder, DroneConfiguration.defaultUser, DroneConfiguration.defaultUser) }
        do {
            loop = try EventLoop()
            controller = try BenchControllerProcess(folder: folder, database: extent.database)
            fleet = BenchFleet(loop: loop, port: controller.port)
            clients = try BenchClients(loop: loop, port: controller.port, count: extent.callers)
        } catch {
            try? FileTree(path: folder).remove()
            throw error
        }
    }

    func run() throws -> [BenchRow] {
        defer {
            controller.end()
            try? FileTree(path: folder).remove()
        }
        StandardError.say("\(extent.drones) drones connect …")
        try fleet.connect(extent.drones)
        var rows = [try syncRow()]
        var held = 0
        for level in extent.levels {
            StandardError.say("\(level) keys: new ones …")
            rows += try newRows(level, from: held)
            held = level
            StandardError.say("\(level) keys: known ones …")
            rows += try existingRows(level)
            StandardError.say("\(level) keys: nothing but renewals …")
            rows += try idleRows(level)
        }
        return rows
    }

    /// What the database's disk takes to make one page durable: no commit is faster.
    private func syncRow() throws -> BenchRow {
        let file = try File.open(folder + "/sync", O_WRONLY | O_CREAT, mode: 0o600)
        var times: [Double] = []
        for _ in 0..<200 {
            let start = BenchInstant.now
            try file.writeAll([UInt8](repeating: 1, count: 4096))
            guard fdatasync(file.raw) == 0 else { throw SystemError(errno, "fdatasync") }
            times.append(BenchInstant.now.microseconds(since: start))
        }
        let spread = Percentiles(times)
        return BenchRow(
            "disk.sync", spread?.median, .microseconds, spread: spread, note: "write of 4 KiB and fdatasync, alone")
    }

    private func newRows(_ level: Int, from held: Int) throws -> [BenchRow] {
        let before = try controller.cost()
        let result = try clients.connect(keys: held..<level, .untilEachIsHeld)
        try fleet.settle()
        return [
            BenchRow(
                "connect.new.\(level)", result.perSecond, .connectsPerSecond, goal: .valueAtLeast(3000),
                spread: Percentiles(result.latencies),
                note: "up to \(level) keys, each a backend whose drone reports all its states; spread in µs"),
            cpuRow("connect.new.\(level).cpu", result, since: before, try controller.cost()),
        ]
    }

    private func existingRows(_ level: Int) throws -> [BenchRow] {
        let before = try controller.cost()
        let result = try clients.connect(keys: 0..<level, .forTime(.seconds(extent.existingSeconds)))
        let spread = Percentiles(result.latencies)
        return [
            BenchRow(
                "connect.existing.\(level)", result.perSecond, .connectsPerSecond, goal: .valueAtLeast(10_000),
                spread: spread, note: "each with a token of its own, known to its drone first; spread in µs"),
            BenchRow(
                "connect.existing.\(level).p99", spread.map { $0.p99 / 1000 }, .milliseconds, goal: .valueAtMost(20)),
            cpuRow("connect.existing.\(level).cpu", result, since: before, try controller.cost()),
        ]
    }

    private func cpuRow(
        _ name: String, _ result: BenchClients.Result, since before: BenchControllerProcess.Cost,
        _ after: BenchControllerProcess.Cost
    ) -> BenchRow {
        let each = (after.cpuSeconds - before.cpuSeconds) * 1_000_000 / Double(max(1, result.latencies.count))
        return BenchRow(name, each, .microseconds, note: "processor time of the controller for each of these connects")
    }

    private func idleRows(_ level: Int) throws -> [BenchRow] {
        let before = try controller.cost()
        fleet.renewals = 0
        try loop.runFor(.seconds(extent.idleSeconds))
        let after = try controller.cost()
        let seconds = Double(extent.idleSeconds)
        return [
            BenchRow(
                "renewals.cpu.\(level)", (after.cpuSeconds - before.cpuSeconds) / seconds * 100, .percentOfProcessor,
                goal: .valueAtMost(5),
                note: "\(level) leases, \(fleet.count) drones, \(fleet.renewals) renewals in \(extent.idleSeconds) s"),
            BenchRow(
                "renewals.disk_writes.\(level)", Double(after.bytesWritten - before.bytesWritten) / 1024 / seconds,
                .kibibytesPerSecond, note: "what the controller had written to disk"),
            BenchRow("controller.memory.\(level)", Double(after.residentKibibytes), .kibibytes, note: "resident"),
        ]
    }
}

extension EventLoop {
    /// Runs for a time.
    fileprivate func runFor(_ duration: Duration) throws {
        schedule(after: duration) { [unowned self] in stop() }
        try run()
    }
}
