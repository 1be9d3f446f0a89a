import Glibc
public import Linux

/// Reads the archive of an image's layer before anything of it is unpacked, and refuses what no image needs: names that
/// lead out of it, devices, marks of overlayfs, more than the limits. Pure but for the reading: it writes nothing.
///
/// It is the first of three walls; the program that unpacks has only its own folder to write to, and the tree is checked
/// again when it is whole.
public struct LayerScan {
    private let limits: ImageLimits
    /// What all layers so far hold. Layers may replace each other's files, so this is never less than the tree.
    public private(set) var size = TreeSize()
    private var problems: [String] = []
    private var next = Pending()

    /// What headers said of the entry after them.
    private struct Pending {
        /// All that were said: which of several counts is for the reader to say, so each must be good.
        var names: [[UInt8]] = []
        var targets: [[UInt8]] = []
        var size: Int64?
        var userID: Int64?
        var groupID: Int64?
        var problems: [String] = []
    }

    private static let extensionBytesMax: Int64 = 1 << 20

    /// - Parameter limits: for all layers together.
    public init(_ limits: ImageLimits) { self.limits = limits }

    /// Reads one layer.
    /// - Parameters:
    ///   - archive: the tar archive, uncompressed; stays the caller's.
    ///   - layer: how messages name it.
    ///   - watch: called now and then.
    public mutating func read(_ archive: borrowing Descriptor, layer: String, _ watch: WorkWatch) throws {
        var reader = BlockReader(archive.raw)
        next = Pending()
        while let block = try reader.block() {
            if block.allSatisfy({ $0 == 0 }) { break }
            guard let header = TarHeader(block) else {
                throw ImageRefusal("\(layer) is no tar archive, or a damaged one")
            }
            let length = next.size ?? header.size
            try take(header, length, &reader, layer)
            try watch(size)
            if problems.count >= 100 { break }
        }
        guard problems.isEmpty else { throw ImageRefusal.list(problems) }
    }

    private mutating func take(
        _ header: TarHeader, _ length: Int64, _ reader: inout BlockReader, _ layer: String
    ) throws {
        switch header.kind {
        case .nextFields, .commonFields, .nextName, .nextTarget:
            guard header.size <= Self.extensionBytesMax else {
                throw ImageRefusal("\(layer) has a header of \(header.size) bytes; at most 1 MiB is allowed")
            }
            // They count too, since there may be any number of them.
            size.entries += 1
            try refuseExcess(layer)
            let content = try reader.content(Int(header.size))
            try takeExtension(header.kind, content, layer)
        case .file:
            try judge(header, length, layer)
            try reader.skip(length)
        case .hardLink, .symbolicLink, .characterDevice, .blockDevice, .folder, .fifo, .sparse, .unknown:
            try judge(header, 0, layer)
        // A size of these is no content, as every reader of tar takes it; a sparse file's entry has already been refused.
        }
    }

    private mutating func takeExtension(_ kind: TarHeader.Kind, _ content: [UInt8], _ layer: String) throws {
        switch kind {
        case .nextName: next.names.append(Array(content.prefix { $0 != 0 }))
        case .nextTarget: next.targets.append(Array(content.prefix { $0 != 0 }))
        case .nextFields:
            guard let fields = PaxFields.parse(content) else {
                throw ImageRefusal("\(layer) has a pax header that is none")
            }
            for (name, value) in fields { try takeField(name, value, layer) }
        // Fields for all entries are none of those that are heeded here; umoci heeds none of them either.
        case .commonFields, .file, .hardLink, .symbolicLink, .characterDevice, .blockDevice, .folder, .fifo, .sparse,
            .unknown:
            break
        }
    }

    private mutating func takeField(_ name: String, _ value: [UInt8], _ layer: String) throws {
        switch name {
        case "path" where !value.isEmpty: next.names.append(value)
        case "linkpath" where !value.isEmpty: next.targets.append(value)
        case "size", "uid", "gid":
            guard let number = Int64(String(decoding: value, as: UTF8.self)), number >= 0 else {
                throw ImageRefusal("\(layer) has a pax field \(name) that is no number")
            }
            if name == "size" { next.size = number }
            if name == "uid" { next.userID = number }
            if name == "gid" { next.groupID = number }
        case _ where name.hasPrefix("GNU.sparse."):
            next.problems.append("is a sparse file, which may claim any size; make the archive without --sparse")
        case _ where name.hasPrefix("SCHILY.xattr."):
            let attribute = String(name.dropFirst("SCHILY.xattr.".count))
            if ExtendedAttributes.isOverlayMark(attribute) {
                next.problems.append("has the attribute \(FileName(Array(attribute.utf8))), a mark of overlayfs")
            }
        case _: break
        }
    }

    private mutating func judge(_ header: TarHeader, _ length: Int64, _ layer: String) throws {
        let names = next.names.isEmpty ? [header.name] : next.names
        let shown = "\(layer): \"\(FileName((names.last ?? []).filter { $0 != 0 }))\""
        for problem in next.problems + names.flatMap(Self.problems) { problems.append("\(shown) \(problem)") }
        switch header.kind {
        case .characterDevice, .blockDevice:
            problems.append("\(shown) is a device node; a sandbox has its own /dev and opens no other")
        case .fifo: problems.append("\(shown) is a fifo; an image holds only files, folders and links")
        case .sparse:
            problems.append("\(shown) is a sparse file, which may claim any size; make the archive without --sparse")
        case .unknown(let type): problems.append("\(shown) is of type \(type), which no image needs")
        case .hardLink:
            for target in next.targets.isEmpty ? [header.target] : next.targets {
                for problem in Self.problems(of: target) {
                    let text = FileName(target.filter { $0 != 0 })
                    problems.append("\(shown) is a hard link, whose target \"\(text)\" \(problem)")
                }
            }
        case .file, .symbolicLink, .folder, .nextFields, .commonFields, .nextName, .nextTarget: break
        }
        for id in [next.userID ?? header.userID, next.groupID ?? header.groupID] where id > 65_535 {
            problems.append("\(shown) belongs to the id \(id); ids in an image end at 65535")
        }
        next = Pending()
        size.entries += 1
        let (sum, overflow) = size.bytes.addingReportingOverflow(length)
        size.bytes = overflow ? .max : sum
        try refuseExcess(layer)
    }

    private func refuseExcess(_ layer: String) throws(ImageRefusal) {
        if let excess = limits.excess(of: size) { throw ImageRefusal("\(layer): the image \(excess)") }
    }

    /// What is wrong with a name of an entry or of a hard link's target.
    static func problems(of name: [UInt8]) -> [String] {
        var problems: [String] = []
        let parts = name.split(separator: UInt8(ascii: "/"))
        if name.first == UInt8(ascii: "/") {
            problems.append("is an absolute path; names in an image are below its root")
        }
        if parts.contains(where: { $0.elementsEqual("..".utf8) }) { problems.append("leads upwards by \"..\"") }
        if name.count > 4000 || parts.contains(where: { $0.count > 255 }) { problems.append("is too long a path") }
        if name.contains(0) { problems.append("contains a zero byte") }
        for part in parts where part.starts(with: ".wh.".utf8) {
            // OCI image specification, layer.md, whiteouts: what stands behind names the file to be removed.
            let removed = part.dropFirst(4)
            if removed.isEmpty || removed.elementsEqual(".".utf8) || removed.elementsEqual("..".utf8) {
                problems.append("removes a folder that it does not name")
            }
        }
        return problems
    }
}

/// Reads blocks of an archive from a pipe or file.
struct BlockReader {
    private let input: Int32
    private var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    private var available = 0..<0

    init(_ input: Int32) { self.input = input }

    /// The next block; nil at the end.
    mutating func block() throws -> ArraySlice<UInt8>? {
        if available.isEmpty { try fill() }
        if available.isEmpty { return nil }
        while available.count < TarHeader.blockBytes {
            let had = available.count
            try fill()
            if available.count == had { throw ImageRefusal("a layer's archive ends within a block") }
        }
        defer { available = (available.lowerBound + TarHeader.blockBytes)..<available.upperBound }
        return buffer[available.lowerBound..<(available.lowerBound + TarHeader.blockBytes)]
    }

    /// An entry's content, which is padded to whole blocks.
    mutating func content(_ count: Int) throws -> [UInt8] {
        var content: [UInt8] = []
        while content.count < count {
            guard let block = try block() else { throw ImageRefusal("a layer's archive ends within a file") }
            content += block
        }
        return Array(content[..<count])
    }

    /// Passes over an entry's content. The padding to a whole block may be missing at the archive's end, as umoci leaves it.
    mutating func skip(_ count: Int64) throws {
        var rest = count
        while rest > 0 {
            guard let step = try pass(rest) else { throw ImageRefusal("a layer's archive ends within a file") }
            rest -= step
        }
        let block = Int64(TarHeader.blockBytes)
        var padding = (block - count % block) % block
        while padding > 0, let step = try pass(padding) { padding -= step }
    }

    /// Passes over at most so many bytes; nil at the end.
    private mutating func pass(_ most: Int64) throws -> Int64? {
        if available.isEmpty { try fill() }
        if available.isEmpty { return nil }
        let step = min(most, Int64(available.count))
        available = (available.lowerBound + Int(step))..<available.upperBound
        return step
    }

    /// Reads more behind what is there.
    private mutating func fill() throws(SystemError) {
        if available.lowerBound > 0 {
            buffer.replaceSubrange(0..<available.count, with: Array(buffer[available]))
            available = 0..<available.count
        }
        let start = available.upperBound
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                let room = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
                return Glibc.read(input, room.baseAddress, room.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError(errno, "read a layer") }
            available = 0..<(start + count)
            return
        }
    }
}
