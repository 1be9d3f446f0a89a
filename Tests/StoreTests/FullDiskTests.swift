import Glibc
import Model
import Store
import Testing

/// No room for more: nothing that was promised is lost, and all goes on when there is room again.
@Suite struct FullDiskTests {
    @Test("When the disk is full, a transaction is refused as a whole, and the store works again when there is room")
    func fullDisk() async throws {
        // The limit holds for the whole process, so it is set in one of its own.
        await #expect(processExitsWith: .success) {
            let folder = TemporaryFolder()
            // Writing beyond RLIMIT_FSIZE fails with EFBIG instead of the signal, as a full disk fails with ENOSPC.
            signal(SIGXFSZ, SIG_IGN)
            let store = try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 })
            try greet(in: store)
            let first = try place(spec("b-first", key: "first"), in: store)
            try limitFileSize(2 << 20)
            var placed = 0
            var failure: StoreError?
            while failure == nil && placed < 100_000 {
                do {
                    try place(
                        spec("b\(placed)", key: "k\(placed)", namespace: String(repeating: "n", count: 255)), in: store)
                    placed += 1
                } catch {
                    failure = error as? StoreError
                }
            }
            #expect(failure?.kind == .full, "\(String(describing: failure))")
            #expect(!store.isInTransaction)
            try limitFileSize(nil)
            #expect(try holder(of: "first", in: store) == first)
            #expect(try drone(in: store).backendCount == Int64(placed) + 1)
            try place(spec("b-last", key: "last"), in: store)
            let count = try store.run { try $0.backends(.live, after: nil, limit: .max) }.count
            #expect(count == placed + 2)
        }
    }
}

/// - Parameter bytes: nil for no limit.
private func limitFileSize(_ bytes: UInt?) throws {
    var limit = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
    limit.rlim_cur = bytes.map { rlim_t($0) } ?? limit.rlim_max
    #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
}
