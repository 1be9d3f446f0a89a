/// How much an image may hold, so that an archive from outside can fill neither disk nor memory.
public struct ImageLimits: Equatable, Sendable {
    /// Most bytes of all files together, as their lengths say.
    public var bytesMax: Int64
    /// Most files, folders and links.
    public var entriesMax: Int

    /// - Parameters: as the properties say.
    public init(bytesMax: Int64, entriesMax: Int) {
        self.bytesMax = bytesMax
        self.entriesMax = entriesMax
    }

    /// For what root made itself.
    public static let none = ImageLimits(bytesMax: .max, entriesMax: .max)

    /// Which limit a size is beyond, as a sentence's part; nil when it is within both.
    public func excess(of size: TreeSize) -> String? {
        if size.bytes > bytesMax { return "holds more than \(ByteCount.text(bytesMax))" }
        if size.entries > entriesMax { return "holds more than \(entriesMax) files, folders and links" }
        return nil
    }
}

/// Why an image is refused: the sentence for a person.
public struct ImageRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with it, all on one line for each thing.
    public let description: String

    /// - Parameter description: as the property says.
    public init(_ description: String) { self.description = description }

    /// The sentence of several problems: the first few, and how many there are.
    static func list(_ problems: [String]) -> ImageRefusal {
        let shown = 5
        let more = problems.count > shown ? "\n… and \(problems.count - shown) more" : ""
        return ImageRefusal(problems.prefix(shown).joined(separator: "\n") + more)
    }
}

/// Looks on while long work goes on: told how far it is, it says whether to go on. Called often, so it must be quick.
public typealias WorkWatch = (TreeSize) throws(ImageRefusal) -> Void
