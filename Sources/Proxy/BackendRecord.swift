import Glibc
import Synchronization

/// What a thread knows of a backend.
struct BackendRecord {
    /// Unconnected sockets born in the backend's network namespace that may lie ready.
    static let spareLimit = 32

    let id: String
    /// The fields that every response of it gets: `server` and `x-plane-backend-id`.
    let responseFields: UnsafeRawBufferPointer
    let activity: BackendActivity
    /// The activity's counters, without a retain on each use. Valid as long as `activity`.
    let counters: UnsafeMutablePointer<BackendActivity.Cells>
    var gate = BackendGate.starting
    /// Connections with a request for it, or with a kept connection to it.
    var connections = ListHead()
    private var spares = InlineArray<32, Int32>(repeating: -1)
    private(set) var spareCount = 0
    /// Sockets asked for and not yet received.
    var askedCount = 0
    /// Spare sockets to aim for; doubled whenever a request had to wait for one.
    private(set) var wantedCount = 2

    init(id: String, activity: BackendActivity, serverName: String) {
        self.id = id
        self.activity = activity
        counters = activity.cells
        let text = Array("server: \(serverName)\r\nx-plane-backend-id: \(id)\r\n".utf8)
        let fields = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 1)
        fields.copyBytes(from: text)
        responseFields = UnsafeRawBufferPointer(fields)
    }

    mutating func addSpares(_ descriptors: [Int32]) {
        askedCount = max(0, askedCount - descriptors.count)
        for descriptor in descriptors {
            if spareCount < Self.spareLimit {
                spares[spareCount] = descriptor
                spareCount += 1
            } else {
                _ = close(descriptor)
            }
        }
    }

    mutating func takeSpare() -> Int32? {
        guard spareCount > 0 else {
            wantedCount = min(wantedCount * 2, Self.spareLimit)
            return nil
        }
        spareCount -= 1
        return spares[spareCount]
    }

    /// How many sockets to ask for now. Asked in batches: at half of what is wanted.
    var missingCount: Int {
        let expected = spareCount + askedCount
        return expected * 2 <= wantedCount ? wantedCount - expected : 0
    }

    mutating func closeSpares() {
        for index in 0..<spareCount { _ = close(spares[index]) }
        spareCount = 0
        wantedCount = 2
    }
}
