import Model
import Testing

@testable import Store

/// The write-ahead log is copied beside the writer, and begun anew now and then.
@Suite struct SQLiteCheckpointerTests {
    @Test(
        "While writes never pause, the log is begun anew again and again, and nothing is lost", .timeLimit(.minutes(2)))
    func logIsBegunAnew() throws {
        let folder = TemporaryFolder(in: "/dev/shm")
        let limits = SQLiteCheckpointer.Limits(copyPages: 20, longPages: 60)
        let store = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 }, limits: limits)
        try greet(in: store)
        var (anew, placed, last) = (0, 0, 0)
        while anew < 5 {
            try place(spec("b\(placed)", key: "k\(placed)"), in: store)
            placed += 1
            if store.logPages < last { anew += 1 }
            last = store.logPages
        }
        #expect(try store.run { try $0.backends(.live, after: nil, limit: .max) }.count == placed)
        let other = try SQLiteConnection(existing: folder.file("plane.db"))
        #expect(try other.text("PRAGMA integrity_check") == "ok")
    }

    @Test("A store that is closed leaves no log behind: all of it is in the database")
    func closingCopiesAll() throws {
        let folder = TemporaryFolder()
        do {
            let store = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 })
            try greet(in: store)
        }
        let connection = try SQLiteConnection(existing: folder.file("plane.db"))
        #expect(try connection.checkpoint().logPages == 0)
        #expect(try connection.integer("SELECT count(*) FROM drone") == 1)
    }
}
