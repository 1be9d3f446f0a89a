import Glibc
import Images
import Linux

/// Where an image is imported from.
enum ImageSource {
    /// A folder that is an OCI image layout.
    case layout
    /// A tar archive, compressed by gzip or not.
    case archive(ArchiveKind)

    /// Looks what is at a path.
    init(_ path: String, _ work: ImageWork) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            guard access("\(path)/oci-layout", F_OK) == 0 else {
                throw CommandFailure(
                    "\(path) is a folder without the file oci-layout, so it is no OCI image layout. "
                        + "For a recipe: plane image build \(path)")
            }
            self = .layout
        case S_IFREG:
            let archive = try LayerArchive(path)
            let kind: ArchiveKind?
            do throws(ImageRefusal) { kind = try archive.find(work) } catch {
                throw CommandFailure("\(path) cannot be imported: \(error)")
            }
            guard let kind else {
                throw CommandFailure(
                    "\(path) is a tar archive, but neither of docker save nor of an OCI image layout: "
                        + "it has neither manifest.json nor oci-layout at its top")
            }
            self = .archive(kind)
        case _: throw CommandFailure("\(path) is neither a folder nor a file")
        }
    }

    /// As skopeo names it. containers-transports(5).
    func transport(_ path: String, tag: String?) -> String {
        let name =
            switch self {
            case .layout: "oci"
            case .archive(.ociLayout): "oci-archive"
            case .archive(.dockerSave): "docker-archive"
            }
        return "\(name):\(path)" + (tag.map { ":" + $0 } ?? "")
    }
}

/// A tar archive, decompressed by gzip as far as it is read.
struct LayerArchive {
    private let path: String
    /// Whether it is compressed, by gzip.
    let isCompressed: Bool

    static let decompressor = "/bin/gzip"

    init(_ path: String) throws {
        self.path = path
        let start = try Self.start(of: path)
        // The first bytes by which xz, zstd and bzip2 know theirs.
        let others: [(String, [UInt8])] = [
            ("xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]), ("zstd", [0x28, 0xb5, 0x2f, 0xfd]), ("bzip2", [0x42, 0x5a, 0x68]),
        ]
        if let (name, _) = others.first(where: { start.starts(with: $0.1) }) {
            throw CommandFailure("\(path) is compressed by \(name); decompress it first: \(name) -d")
        }
        isCompressed = start.starts(with: [0x1f, 0x8b])
    }

    private static func start(of path: String) throws -> [UInt8] {
        let file = try File.open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 6)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) ?? 0 }
        return Array(bytes[..<count])
    }

    /// What it is.
    func find(_ work: ImageWork) throws(ImageRefusal) -> ArchiveKind? {
        var kind: ArchiveKind?
        try read { (archive) in kind = try ArchiveKind.find(in: archive, work.look) }
        return kind
    }

    /// Calls with the archive as it is uncompressed.
    func read(_ body: (borrowing Descriptor) throws -> Void) throws(ImageRefusal) {
        do {
            let file = try File.open(path, O_RDONLY)
            guard isCompressed else { return try body(file) }
            defer { _ = file.raw }  // It lives as long as the child is being started.
            let pipe = try Pipe()
            let child = try ChildProgram.start(
                ProgramCall(Self.decompressor, ["-dc"]),
                streams: ChildProgram.Streams(input: file.raw, output: pipe.writing.raw, errors: nil), .ownGroup)
            let (reading, writing) = pipe.split()
            _ = Descriptor(owning: writing)
            defer {
                // It has written all that is wanted; what is behind the archive's end is not.
                _ = try? child.signal(SIGKILL)
                _ = try? child.reap()
            }
            try body(Descriptor(owning: reading))
        } catch let refusal as ImageRefusal {
            throw refusal
        } catch {
            throw ImageRefusal("\(error)")
        }
    }
}
