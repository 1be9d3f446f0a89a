import Glibc
import Linux
import Model
import Testing

@testable import Controller

/// Files of secrets: whose they may be, and what becomes of changes.
@Suite struct WatchedSecretsTests {
    private let folder = TemporaryFolder()
    private let old = "old-0123456789abcdef"
    private let new = "new-0123456789abcdef"

    private func write(_ text: String, to name: String = "tokens", mode: UInt32 = 0o600) throws -> String {
        let path = folder.file(name)
        unlink(path)
        try File.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).writeAll(Array(text.utf8))
        #expect(chmod(path, mode) == 0)
        return path
    }

    private func watch(_ path: String) throws -> WatchedSecrets<String> {
        try WatchedSecrets(path, now: at(0)) { (lines) throws(InvalidValue) in try SecretTable(apiTokens: lines) }
    }

    private func at(_ milliseconds: UInt64) -> BootInstant { BootInstant(nanoseconds: milliseconds * 1_000_000) }

    private func holds(_ secret: String, _ watched: WatchedSecrets<String>, at milliseconds: UInt64) -> Bool {
        watched.current(now: at(milliseconds)).search(secret).owner != nil
    }

    @Test("A changed file counts within a second, however it was changed")
    func changes() throws {
        let path = try write(old)
        let watched = try watch(path)
        #expect(holds(old, watched, at: 0))
        // In place, of the same length, and in the same tick of the file system's clock: stat(2) says nothing of it.
        let before = try status(path)
        try File.open(path, O_WRONLY).writeAll(Array(new.utf8))
        let tick = timespec(
            tv_sec: Int(before.modified / 1_000_000_000), tv_nsec: Int(before.modified % 1_000_000_000))
        var times = [tick, tick]
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
        #expect(try status(path) == before)
        #expect(!holds(new, watched, at: 999))
        #expect(holds(new, watched, at: 1000) && !holds(old, watched, at: 1000))
        // Replaced by rename(2), as careful programs do.
        #expect(rename(try write(old, to: "next"), path) == 0)
        #expect(holds(old, watched, at: 2000) && !holds(new, watched, at: 2000))
    }

    @Test("A link is followed, so that what replaces the place it leads to counts")
    func links() throws {
        let (first, second) = (try write(old, to: "first"), try write(new, to: "second"))
        let link = folder.file("link")
        #expect(symlink(first, link) == 0)
        let watched = try watch(link)
        unlink(link)
        #expect(symlink(second, link) == 0)
        #expect(holds(new, watched, at: 1000))
    }

    @Test("A broken, unsafe or missing file changes nothing until it is right again")
    func broken() throws {
        let path = try write(old)
        let watched = try watch(path)
        _ = try write("too-short")
        #expect(holds(old, watched, at: 1000))
        _ = try write("# none")
        #expect(holds(old, watched, at: 2000))
        _ = try write(new, mode: 0o644)
        #expect(holds(old, watched, at: 3000) && !holds(new, watched, at: 3000))
        unlink(path)
        #expect(holds(old, watched, at: 4000))
        _ = try write(new)
        #expect(holds(new, watched, at: 5000) && !holds(old, watched, at: 5000))
    }

    @Test("A file that was not changed lately is not read again")
    func settled() throws {
        let path = try write(old)
        var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
        let watched = try watch(path)
        // The same file by all that stat(2) says, with other bytes: only who reads it again would see them.
        try File.open(path, O_WRONLY).writeAll(Array(new.utf8))
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
        #expect(holds(old, watched, at: 1000))
    }

    @Test("At the start the file must be right, and the sentence names it and what to do")
    func start() throws {
        for (path, part) in [
            (folder.file("absent"), "No such file"), (try write("x", to: "short"), "line 1"),
            (try write(old, to: "open", mode: 0o640), "chmod 600"), ("/dev/null", "is not a file of text"),
            (folder.path, "is not a file of text"),
        ] {
            let error = try #require(throws: SecretFile.Unusable.self) { try SecretFile.read(path) }
            #expect(error.description.hasPrefix(path) && error.description.contains(part), "\(error)")
        }
    }

    @Test("Root's files and the caller's own are taken, another user's are not; others may neither read nor write them")
    func ownership() throws {
        let path = try write(old)
        #expect(SecretFile.problem(try status(path), caller: geteuid()) == nil)
        try #require(geteuid() == 0, "the rest needs root")
        #expect(SecretFile.problem(try status(path), caller: 1234) == nil)
        #expect(chown(path, 4321, 4321) == 0)
        #expect(SecretFile.problem(try status(path), caller: 4321) == nil)
        #expect(SecretFile.problem(try status(path), caller: 1234)?.contains("belongs to user 4321") == true)
        for mode: UInt32 in [0o604, 0o640, 0o602, 0o620, 0o601] {
            #expect(chmod(path, mode) == 0)
            #expect(SecretFile.problem(try status(path), caller: 4321)?.contains("chmod 600") == true)
        }
    }

    private func status(_ path: String) throws -> FileStatus { try #require(SecretFile.status(path)) }
}
