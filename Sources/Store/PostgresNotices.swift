internal import Model

/// What a transaction touched, told to the other users of the store when it commits: as hints, of which one may be lost.
///
/// On the wire it is the writer's name and then the names of what it touched, each after its kind: `co-x d:dr-1 b:b-17`.
struct PostgresNotices {
    /// The channel of LISTEN and NOTIFY.
    static let channel = "plane"
    /// A payload must be shorter than 8,000 bytes; postgresql.org/docs/15/sql-notify.html
    private static let bytesMax = 7900

    private var words: [String] = []
    private var known: Set<String> = []

    /// A drone's row or its orders changed.
    mutating func touch(_ drone: DroneName) { add("d:\(drone.text)") }

    /// A backend's state was recorded.
    mutating func touch(_ backend: BackendID) { add("b:\(backend.text)") }

    private mutating func add(_ word: String) {
        if known.insert(word).inserted { words.append(word) }
    }

    /// What to send: nothing when nothing was touched.
    func payloads(from writer: String) -> [String] {
        var payloads: [String] = []
        for word in words {
            if let last = payloads.last, last.utf8.count + word.utf8.count < Self.bytesMax {
                payloads[payloads.count - 1] += " " + word
            } else {
                payloads.append("\(writer) \(word)")
            }
        }
        return payloads
    }

    /// Reads a payload. What cannot be read may mean anything. - Returns: nothing when the reader wrote it itself.
    static func parse(_ payload: String, for reader: String) -> [StoreNotice] {
        let words = payload.split(separator: " ")
        if words.first.map(String.init) == reader { return [] }
        return words.dropFirst().map { word in
            let name = String(word.dropFirst(2))
            if word.hasPrefix("d:"), let drone = try? DroneName(name) { return .drone(drone) }
            if word.hasPrefix("b:"), let backend = try? BackendID(name) { return .backend(backend) }
            return .missed
        }
    }
}
