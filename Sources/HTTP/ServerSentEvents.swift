/// One event of a `text/event-stream`. WHATWG HTML, section "Server-sent events".
public struct ServerSentEvent: Equatable, Sendable {
    /// What a client sends back as `Last-Event-ID`. nil: unchanged.
    public var id: String?
    /// The event's type; nil is `message`.
    public var event: String?
    /// The data; may have several lines.
    public var data: String

    /// An event.
    public init(id: String? = nil, event: String? = nil, data: String) {
        self.id = id
        self.event = event
        self.data = data
    }

    /// The event as it is sent, with the empty line that dispatches it. Line breaks in id and event become spaces; each
    /// line of the data gets a field of its own.
    public var encoded: [UInt8] {
        var text = ""
        if let id { text += "id: \(Self.oneLine(id))\n" }
        if let event { text += "event: \(Self.oneLine(event))\n" }
        for line in data.split(omittingEmptySubsequences: false, whereSeparator: \.isServerSentLineBreak) {
            text += "data: \(line)\n"
        }
        return Array((text + "\n").utf8)
    }

    /// A comment, which readers skip: it keeps an idle connection from being taken for a dead one.
    public static let keepAliveComment: [UInt8] = Array(":\n\n".utf8)

    private static func oneLine(_ text: String) -> String {
        String(text.map { $0.isServerSentLineBreak || $0 == "\0" ? " " : $0 })
    }
}

extension Character {
    /// CR LF is one Character.
    fileprivate var isServerSentLineBreak: Bool { self == "\n" || self == "\r" || self == "\r\n" }
}

/// Reads a `text/event-stream`. Pure and incremental: bytes may be cut anywhere, lines end in LF, CR or CR LF.
public struct ServerSentEventParser: Sendable {
    /// The stream is not to be read further.
    public enum Failure: Error, Equatable, Sendable {
        /// A line or the data of one event is larger than the limit.
        case tooLarge
    }

    private let byteCountMax: Int
    private var line: [UInt8] = []
    private var isAfterCarriageReturn = false
    private var isFirstLine = true
    private var id: String?
    private var event: String?
    private var data: [UInt8] = []
    private var hasData = false

    /// The id to reconnect with: that of the last dispatched event which had one.
    public private(set) var lastEventID: String?

    /// - Parameter byteCountMax: limit of one line and of one event's data.
    public init(byteCountMax: Int = 2 * 1024 * 1024) { self.byteCountMax = byteCountMax }

    /// Takes received bytes and gives the events that they complete.
    public mutating func consume(_ bytes: some Sequence<UInt8>) throws(Failure) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            let wasAfterCarriageReturn = isAfterCarriageReturn
            isAfterCarriageReturn = byte == ASCII.carriageReturn
            if byte == ASCII.lineFeed && wasAfterCarriageReturn { continue }
            if byte == ASCII.lineFeed || byte == ASCII.carriageReturn {
                if let event = try endLine() { events.append(event) }
            } else {
                guard line.count < byteCountMax else { throw .tooLarge }
                line.append(byte)
            }
        }
        return events
    }

    private mutating func endLine() throws(Failure) -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        if line.isEmpty { return dispatch() }
        let colon = line.firstIndex(of: ASCII.colon) ?? line.count
        if colon == 0 { return nil }
        var value = line[min(colon + 1, line.count)...]
        if value.first == ASCII.space { value = value.dropFirst() }
        let text = String(decoding: value, as: UTF8.self)
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "data":
            guard data.count + value.count < byteCountMax else { throw .tooLarge }
            if hasData { data.append(ASCII.lineFeed) }
            hasData = true
            data += value
        case "id": if !value.contains(0) { id = text }
        case "event": event = text
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer {
            (id, event, hasData) = (nil, nil, false)
            data.removeAll()
        }
        if let id { lastEventID = id }
        guard hasData else { return nil }
        return ServerSentEvent(id: id, event: event, data: String(decoding: data, as: UTF8.self))
    }
}
