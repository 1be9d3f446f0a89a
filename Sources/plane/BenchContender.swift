import CLinux
import Glibc
import Linux
import Model
import WardenProtocol

/// One way to start the payload `stamp`.
protocol BenchContender {
    /// As the table names it.
    var name: String { get }
    /// Starts it once and waits for its end.
    func start() throws -> BenchSample
}

/// One start, in microseconds from its request.
struct BenchSample {
    /// Until the payload's first instruction.
    let firstInstruction: Double
    /// Until it was known that all of it had ended.
    let whole: Double

    init(start: BenchInstant, stamp: [UInt8], end: BenchInstant) throws {
        guard let first = BenchInstant(stamp: stamp) else {
            throw CommandFailure("the payload did not say when it began: \(stamp.count) bytes came")
        }
        firstInstruction = first.microseconds(since: start)
        whole = end.microseconds(since: start)
    }
}

/// A request to the warden.
struct WardenContender: BenchContender {
    let name = "plane"
    let warden: BenchWarden

    func start() throws -> BenchSample {
        let start = try warden.requestStart(of: .stamp)
        var stamp: [UInt8] = []
        while true {
            let (reply, descriptors) = try { ($0.reply, $0.descriptors) }(warden.next())
            switch reply {
            case .spawned:
                guard let output = descriptors.first else { throw CommandFailure("the warden sent no output") }
                stamp = try BenchOutput.read(Descriptor(owning: output))
            case .exited(let backend, _):
                let end = BenchInstant.now
                try warden.send(.forget(backend))
                return try BenchSample(start: start, stamp: stamp, end: end)
            case .refused(_, let message): throw CommandFailure("the warden refused a start: \(message)")
            case .welcome, .sockets, .listing, .listed: throw CommandFailure("the warden answered \(reply)")
            }
        }
    }
}

/// clone3 with the namespaces of a sandbox, and exec: what no runtime can be faster than. Nothing of a wall is built.
struct BareContender: BenchContender {
    let name = "clone3+exec"
    let file: String

    /// CLONE_NEWTIME, which `Namespaces` lacks a name for. time_namespaces(7).
    private static let time = Namespaces(rawValue: 0x80)
    private static let namespaces: Namespaces = [.user, .mount, .pid, .network, .ipc, .uts, .cgroup, time]

    func start() throws -> BenchSample {
        let output = try Pipe()
        var arguments = clone_args()
        arguments.flags = Self.namespaces.rawValue
        arguments.exit_signal = UInt64(SIGCHLD)
        guard let path = strdup(file) else { throw SystemError(ENOMEM, "strdup") }
        defer { free(path) }
        var words: [UnsafeMutablePointer<CChar>?] = [path, nil]
        var variables: [UnsafeMutablePointer<CChar>?] = [nil]
        let start = BenchInstant.now
        // The bare call: looking for other threads, as every clone of Plane's does, would be in the figure. This process
        // has one.
        let pid = plane_clone3(&arguments)
        if pid == 0 {
            dup2(output.writing.raw, 1)
            execve(path, &words, &variables)
            CurrentProcess.exitImmediately(127)
        }
        guard pid > 0 else { throw SystemError(Int32(-pid), "clone3") }
        let (reading, writing) = output.split()
        _ = Descriptor(owning: writing)
        return try BenchOutput.sample(of: Int32(pid), Descriptor(owning: reading), start: start, name: name)
    }
}

/// Another program that starts the payload.
struct ProgramContender: BenchContender {
    let name: String
    let words: [String]
    /// Words that are new at each start; for programs that name what they start.
    private let freshWords: ((Int) -> [String])?
    /// The mount namespace that it sees; nil is this process's own.
    private let view: BenchMountView?
    private let counter = Counter()

    private final class Counter { var value = 0 }

    init(
        _ name: String, _ words: [String], in view: BenchMountView? = nil, freshWords: ((Int) -> [String])? = nil
    ) {
        self.name = name
        self.words = words
        self.view = view
        self.freshWords = freshWords
    }

    func start() throws -> BenchSample { try run(errors: nil) }

    /// Runs it once, for its complaint if it cannot.
    func tryOnce() throws {
        let errors = try Pipe()
        do { _ = try run(errors: errors.writing.raw) } catch {
            let (reading, writing) = errors.split()
            _ = Descriptor(owning: writing)
            let text = try Descriptor(owning: reading).readAll(limit: 1 << 20)
            let said = String(decoding: text, as: UTF8.self).split(separator: "\n").last.map { ": \($0)" } ?? ""
            throw CommandFailure("\(error)\(said)")
        }
    }

    /// posix_spawn(3), which copies no memory: the cheapest way for another program to begin.
    private func run(errors: Int32?) throws -> BenchSample {
        counter.value += 1
        let output = try Pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writing.raw, 1)
        if let errors {
            posix_spawn_file_actions_adddup2(&actions, errors, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        }
        // The signals that this process takes between two starts are not blocked in what it starts.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let all = words + (freshWords?(counter.value) ?? [])
        var arguments: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: Int32 = 0
        try view?.enter()
        let start = BenchInstant.now
        let failed = posix_spawn(&pid, all[0], &actions, &attributes, &arguments, environ)
        try view?.leave()
        guard failed == 0 else { throw SystemError(failed, "posix_spawn \(all[0])") }
        let (reading, closing) = output.split()
        _ = Descriptor(owning: closing)
        return try BenchOutput.sample(of: pid, Descriptor(owning: reading), start: start, name: name)
    }
}

/// What a started payload writes.
enum BenchOutput {
    /// Reads to the end. - Throws: when nothing comes for long.
    static func read(_ output: consuming Descriptor) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            var watch = pollfd(fd: output.raw, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watch, 1, 30_000)
            if ready < 0, errno == EINTR { continue }
            guard ready == 1 else { throw CommandFailure("the payload wrote nothing for 30 s") }
            let count = Glibc.read(output.raw, &buffer, buffer.count)
            guard count >= 0 else { throw SystemError(errno, "read") }
            bytes += buffer[..<count]
            if count == 0 || bytes.count >= BenchPayload.stampByteCount { return bytes }
        }
    }

    /// Waits for what a child's payload says, and for the child's end.
    static func sample(
        of pid: Int32, _ output: consuming Descriptor, start: BenchInstant, name: String
    ) throws -> BenchSample {
        let stamp = try read(output)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let end = BenchInstant.now
        guard status == 0 else { throw CommandFailure("\(name) ended with wait status \(status)") }
        return try BenchSample(start: start, stamp: stamp, end: end)
    }
}
