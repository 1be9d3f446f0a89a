import Glibc
import HTTP
import Model
import Synchronization
import Testing

@testable import Controller

/// What connect returned survives a kill of the controller.
@Suite(.timeLimit(.minutes(2))) struct ControllerCrashTests {
    @Test("After kill -9 of a busy controller, every connect that was answered is found again", arguments: [1, 25, 80])
    func answeredConnectsSurvive(_ answersBeforeKill: Int) async throws {
        let folder = TemporaryFolder()
        let path = folder.path
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, count = answersBeforeKill as Int] in
            try await connectUntilKilled(folder: path, answersBeforeKill: count)
        }
        let answered = try answers(folder.file("answers"))
        #expect(answered.count >= answersBeforeKill)
        let site = try await TestSite(folder: folder)
        let returned = try await TestDrone(site)
        _ = try await returned.welcomed()
        // The drone reports nothing, so all that was promised is ordered again.
        let orders = try await returned.all().compactMap { if case .spawn(let order) = $0 { order } else { nil } }
        let tokens = Dictionary(orders.map { ($0.backend, $0.fencingToken) }, uniquingKeysWith: { first, _ in first })
        for answer in answered { #expect(tokens[answer.backend] == answer.fencingToken) }
        let next = try await site.connect(key: "after").connected()
        #expect(answered.allSatisfy { $0.fencingToken < next.fencingToken })
        try await site.stop()
    }

    private struct Answer {
        let backend: String
        let fencingToken: Int64
    }

    private func answers(_ path: String) throws -> [Answer] {
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &bytes, bytes.count)
        return try String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").map {
            let parts = $0.split(separator: " ")
            return Answer(backend: String(parts[0]), fencingToken: try #require(Int64(parts[1])))
        }
    }
}

/// A controller, its drone and eight clients, all over real sockets, in a process that kills itself in the midst of it.
/// Each answer is in a file before the next connect is sent.
private func connectUntilKilled(folder: String, answersBeforeKill: Int) async throws {
    // If the kill never comes, this must not write for ever.
    alarm(60)
    let log = open("\(folder)/answers", O_CREAT | O_WRONLY | O_APPEND, 0o600)
    let site = try await TestSite(folder: TemporaryFolder(borrowed: folder))
    let drone = try await TestDrone(site)
    _ = try await drone.welcomed()
    let answers = Counter()
    await withTaskGroup(of: Void.self) { group in
        for worker in 0..<8 {
            group.addTask {
                for number in 0... {
                    guard let answer = try? await site.connect(key: "k-\(worker)-\(number)").connected() else { return }
                    let line = "\(answer.backendID) \(answer.fencingToken)\n"
                    precondition(write(log, line, line.utf8.count) == line.utf8.count)
                    if answers.next() == answersBeforeKill { kill(getpid(), SIGKILL) }
                }
            }
        }
    }
}

/// Counts what several workers do.
private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
