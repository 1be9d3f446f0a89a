public import Linux

/// What kind of an image an archive holds, by the names of its entries.
public enum ArchiveKind: Equatable, Sendable {
    /// As `docker save` writes it: manifest.json at its top.
    case dockerSave
    /// An OCI image layout in an archive: oci-layout at its top.
    case ociLayout

    /// Reads an archive until it is clear what it is.
    /// - Parameters:
    ///   - archive: the tar archive, uncompressed; stays the caller's.
    ///   - watch: called at each entry.
    /// - Returns: nil when it is a tar archive of something else.
    public static func find(in archive: borrowing Descriptor, _ watch: WorkWatch) throws -> ArchiveKind? {
        var reader = BlockReader(archive.raw)
        var size = TreeSize()
        var found: ArchiveKind?
        while let block = try reader.block() {
            if block.allSatisfy({ $0 == 0 }) { break }
            guard let header = TarHeader(block) else { throw ImageRefusal("it is no tar archive, or a damaged one") }
            switch String(decoding: header.name, as: UTF8.self) {
            // Newer versions of docker save write both.
            case "manifest.json", "./manifest.json": return .dockerSave
            case "oci-layout", "./oci-layout": found = .ociLayout
            case _: break
            }
            size.entries += 1
            size.bytes += min(header.size, 1 << 40)
            try watch(size)
            try reader.skip(header.size)
        }
        return found
    }
}
