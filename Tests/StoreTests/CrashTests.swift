import Glibc
import Model
import Store
import Synchronization
import Testing

/// What was promised is there after a kill.
@Suite struct CrashTests {
    @Test("After kill -9 in the middle of writing, everything that was acknowledged is there", arguments: 1...5)
    func acknowledgedSurvivesKill(_ round: Int) async throws {
        let folder = TemporaryFolder()
        let path = folder.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as Int] in
            try writeUntilKilled(folder: path, acknowledgements: 40 * round)
        }
        let acknowledged = try lines(of: folder.file("acknowledged"))
        #expect(acknowledged.count >= 40 * round)
        let store = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 })
        for line in acknowledged {
            let parts = line.split(separator: " ")
            let name = String(parts[0])
            let row = try backend(name, in: store)
            #expect(row?.fencingToken.value == Int64(parts[1]), "\(name) was acknowledged and is not there")
            #expect(try holder(of: "k-\(name)", in: store) == row)
        }
        let next = try place(spec("next", key: "next"), in: store)
        #expect(
            acknowledged.allSatisfy { Int64($0.split(separator: " ")[1]).map { $0 < next.fencingToken.value } == true })
    }
}

/// Writes backends as fast as it can, notes each that was acknowledged, and kills its own process among them.
private func writeUntilKilled(folder: String, acknowledgements: Int) throws {
    // If the kill never comes, this must not write for ever.
    alarm(60)
    let log = open("\(folder)/acknowledged", O_CREAT | O_WRONLY | O_APPEND, 0o600)
    let thread = try StoreThread(
        open: { () throws(StoreError) in try SQLiteStore(path: "\(folder)/plane.db", clock: { 0 }) },
        deliver: { for completion in $0 { completion() } })
    // The first session of an empty database is number 1.
    let session = SessionNumber(1)
    thread.perform(
        { tx throws(StoreError) in try tx.greet(greeting(), by: controllerName("co-1"), leaseMilliseconds: 60_000) },
        then: { precondition((try? $0.get())?.session == session) })
    let count = Atomic<Int>(0)
    for number in 0... {
        thread.perform(
            { tx throws(StoreError) in try tx.insert(spec("b\(number)", key: "k-b\(number)"), under: session) },
            then: { result in
                guard let row = try? result.get() else { return }
                let line = "\(row.id.text) \(row.fencingToken.value)\n"
                precondition(write(log, line, line.utf8.count) == line.utf8.count)
                if count.add(1, ordering: .relaxed).newValue == acknowledgements { kill(getpid(), SIGKILL) }
            })
        // Not all at once: several batches, so that the kill comes between and within commits.
        while thread.waitingCount > 8 { sched_yield() }
    }
}

private func lines(of path: String) throws -> [String] {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(descriptor, &bytes, bytes.count)
    #expect(count > 0)
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self).split(separator: "\n").map(String.init)
}
