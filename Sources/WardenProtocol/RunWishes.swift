public import Linux
public import Model

/// What `plane run` asks of `plane-warden run` besides the plan, behind which it stands in the same file. A file without
/// it asks for nothing.
public struct RunWishes: Hashable, Sendable {
    /// Where the command's input and output go.
    public enum Streams: UInt8, Hashable, Sendable {
        /// To those of the process that runs it.
        case inherited = 0
        /// To a terminal of the sandbox's own, joined to the terminal that the process has.
        case terminal = 1
    }

    /// Where to write how the run went, and what only its caller knows of it.
    public struct Report: Hashable, Sendable {
        /// An open descriptor that the process inherits.
        public var descriptor: Int32
        /// When the run was asked for.
        public var began: BootInstant
        /// When its plan was compiled.
        public var compiled: BootInstant

        /// - Parameters: as the properties say.
        public init(descriptor: Int32, began: BootInstant, compiled: BootInstant) {
            self.descriptor = descriptor
            self.began = began
            self.compiled = compiled
        }
    }

    /// Where input and output go.
    public var streams: Streams
    /// Where the report goes; nil writes none.
    public var report: Report?

    /// - Parameters: as the properties say.
    public init(streams: Streams = .inherited, report: Report? = nil) {
        self.streams = streams
        self.report = report
    }

    /// Appends it in the form that `init(from:)` reads.
    public func encode(into writer: inout WireWriter) {
        writer.write(streams.rawValue)
        writer.write(report?.descriptor)
        writer.write(report?.began.nanoseconds)
        writer.write(report?.compiled.nanoseconds)
    }

    /// Reads what `encode` wrote; nothing at all asks for nothing.
    public init(from reader: inout WireReader) throws(WireError) {
        self.init()
        if reader.isAtEnd { return }
        guard let streams = Streams(rawValue: try reader.read(UInt8.self)) else {
            throw WireError("a run's streams are neither inherited nor a terminal")
        }
        self.streams = streams
        let descriptor = try reader.readOptional(Int32.self)
        let began = try reader.readOptional(UInt64.self)
        let compiled = try reader.readOptional(UInt64.self)
        if let descriptor, let began, let compiled {
            report = Report(
                descriptor: descriptor, began: BootInstant(nanoseconds: began),
                compiled: BootInstant(nanoseconds: compiled))
        }
        guard reader.isAtEnd else { throw WireError("bytes follow the end of a run's wishes") }
    }
}
