import Glibc
import HTTP
import Linux

/// A `plane controller` of a benchmark's own.
final class BenchControllerProcess {
    /// Where it listens, on loopback.
    let port: UInt16
    private let pid: Int32
    private let process: ProcessDescriptor
    private let log: String

    /// The cluster that it places everything in; nothing listens there.
    static let cluster = "bench.invalid:1"
    private static let patience = Duration.seconds(20)

    /// Starts it and waits until it answers.
    init(folder: String, database: String?) throws {
        let probe = try Socket.tcpListener(.loopback(0), backlog: 1)
        port = try Socket.localPort(probe.raw)
        _ = consume probe
        log = folder + "/controller.log"
        let file = try File.open(log, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        let words = [
            "controller", "--db", database ?? folder + "/controller.db", "--port", String(port), "--default-cluster",
            Self.cluster, "--end-with-parent",
        ]
        let call = ProgramCall(try CurrentProcess.executablePath(), words)
        process = try ChildProgram.start(
            call, streams: ChildProgram.Streams(output: file.raw, errors: file.raw), .ownGroup)
        pid = try Self.pid(of: process)
        try awaitAnswer()
    }

    /// The number behind a pidfd: `Pid:` in its fdinfo, proc(5).
    private static func pid(of process: borrowing ProcessDescriptor) throws -> Int32 {
        let text = try File.readText("/proc/self/fdinfo/\(process.raw)")
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Pid:") }),
            let number = line.split(separator: "\t").last.flatMap({ Int32($0) }), number > 0
        else { throw CommandFailure("the controller ended as soon as it was started") }
        return number
    }

    private func awaitAnswer() throws {
        let url = try HTTPURL("http://127.0.0.1:\(port)/pub/health")
        let deadline = BootInstant.now + Self.patience
        while BootInstant.now < deadline {
            if let answer = try? HTTPClient.fetch(.get, url, deadline: .seconds(1)), answer.status == 200 { return }
            var watch = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
            if poll(&watch, 1, 5) > 0 { break }
        }
        let lines = ((try? File.readText(log)) ?? "").split(separator: "\n").suffix(3).joined(separator: "; ")
        throw CommandFailure("the controller does not answer: \(lines)")
    }

    /// What it has used since it was started.
    struct Cost {
        let cpuSeconds: Double
        /// What it caused to be sent to a disk. proc(5), /proc/pid/io.
        let bytesWritten: Int64
        let residentKibibytes: Int64
    }

    func cost() throws -> Cost {
        // Its name, in parentheses, may hold spaces; what is behind it does not. proc(5), /proc/pid/stat: 14 and 15.
        let stat = try File.readText("/proc/\(pid)/stat")
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
            throw CommandFailure("/proc/\(pid)/stat is not as expected")
        }
        return Cost(
            cpuSeconds: (user + system) / Double(sysconf(Int32(_SC_CLK_TCK))),
            bytesWritten: try number("write_bytes:", in: "/proc/\(pid)/io"),
            residentKibibytes: try number("VmRSS:", in: "/proc/\(pid)/status"))
    }

    private func number(_ name: String, in path: String) throws -> Int64 {
        let line = try File.readText(path).split(separator: "\n").first { $0.hasPrefix(name) }
        guard let word = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first,
            let value = Int64(word)
        else { throw CommandFailure("\(path) has no \(name)") }
        return value
    }

    func end() {
        _ = try? process.signal(SIGTERM)
        _ = try? process.reap()
    }
}
