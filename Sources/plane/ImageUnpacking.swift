import Glibc
import Images
import Linux

/// Brings the image of a source into a growing image's folder: skopeo copies it into a layout of its own, checking every
/// digest; its layers are read and judged; then umoci unpacks them. Both programs are confined to the folder.
struct ImageUnpacking {
    let folder: String
    let limits: ImageLimits
    let work: ImageWork
    private let copier: String
    private let unpacker: String

    init(_ folder: String, _ limits: ImageLimits, _ work: ImageWork) throws {
        self.folder = folder
        self.limits = limits
        self.work = work
        copier = try Self.program("skopeo")
        unpacker = try Self.program("umoci")
    }

    private var layout: String { folder + "/layout" }
    private var temporary: String { folder + "/tmp" }
    private var log: String { folder + "/log" }
    private var original: String { folder + "/original" }

    /// - Parameters:
    ///   - source: what is at the path.
    ///   - path: absolute.
    ///   - tag: which image, if there are several.
    /// - Returns: what the image says of itself.
    func unpack(_ source: ImageSource, _ path: String, tag: String?) throws -> OCIImage.Configuration {
        try File.makeDirectory(temporary, mode: 0o700)
        try copy(source, path, tag: tag)
        let image = try OCIImage(layout: layout)
        try Self.checkPlatform(image.configuration)
        try scan(image)
        work.turn(to: "unpacking \(path)")
        try run(
            unpacker, ["raw", "unpack", "--image", "\(layout):image", folder + "/rootfs"], within: limits,
            filling: folder + "/rootfs", what: "\(path) cannot be unpacked")
        for scratch in [layout, temporary] { try FileTree(path: scratch).remove() }
        for file in [log, original] { unlink(file) }
        return image.configuration
    }

    /// Into a layout of our own: whoever owns the source can change it no more.
    private func copy(_ source: ImageSource, _ path: String, tag: String?) throws {
        // The archive, its copy, and what skopeo keeps meanwhile.
        let (bytes, overflow) = limits.bytesMax.multipliedReportingOverflow(by: 3)
        let limits = ImageLimits(bytesMax: overflow ? .max : bytes, entriesMax: limits.entriesMax)
        work.turn(to: "copying \(path)")
        if case .archive = source, try LayerArchive(path).isCompressed {
            // skopeo 1.9 takes compressed archives of layouts only.
            let packed = try File.open(path, O_RDONLY)
            let plain = try File.open(original, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            try run(
                LayerArchive.decompressor, ["-dc"], input: packed.raw, output: plain.raw, within: limits,
                filling: folder,
                what: "\(path) cannot be decompressed")
            _ = (packed.raw, plain.raw)
        } else {
            // Under another name, since a colon in a path would end it for skopeo.
            guard symlink(path, original) == 0 else { throw SystemError(errno, "symlink \(original)") }
        }
        try run(
            copier,
            [
                "--insecure-policy", "--tmpdir", temporary, "copy", "--quiet", "--dest-compress-format", "gzip",
                "--dest-compress-level", "1", source.transport(original, tag: tag), "oci:\(layout):image",
            ], within: limits, filling: folder, what: "\(path) cannot be copied",
            hint: tag == nil ? "; if it holds several images, choose one by --tag" : "")
    }

    private func scan(_ image: OCIImage) throws(ImageRefusal) {
        var scan = LayerScan(limits)
        for (index, layer) in image.layers.enumerated() {
            work.turn(to: "reading layer \(index + 1) of \(image.layers.count)")
            let archive: LayerArchive
            do { archive = try LayerArchive(layer.path) } catch { throw ImageRefusal("\(error)") }
            try archive.read { try scan.read($0, layer: "layer \(index + 1)", work.look) }
        }
    }

    private func run(
        _ program: String, _ arguments: [String], input: Int32? = nil, output: Int32? = nil, within limits: ImageLimits,
        filling place: String, what: String, hint: String = ""
    ) throws {
        let messages = try File.open(log, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        defer { _ = messages.raw }  // It lives as long as the program.
        let environment = [
            "PATH=\(ImageProgram.standardPath)", "HOME=\(temporary)", "TMPDIR=\(temporary)", "LANG=C.UTF-8",
        ]
        let confinement = ChildConfinement(writable: folder, fileBytesMax: UInt64(clamping: limits.bytesMax))
        let child = try ChildProgram.start(
            ProgramCall(program, arguments, environment: environment),
            streams: ChildProgram.Streams(input: input, output: output ?? messages.raw, errors: messages.raw),
            .confined(confinement))
        let status = try work.awaitEnd(of: child, filling: place, limits)
        guard status == .exited(code: 0) else {
            throw CommandFailure("\(what): \(program) \(status)\(try Self.lastMessage(messages))\(hint)")
        }
    }

    /// The last line that a program wrote, without what skopeo writes around it.
    private static func lastMessage(_ messages: borrowing Descriptor) throws(SystemError) -> String {
        lseek(messages.raw, max(0, lseek(messages.raw, 0, SEEK_END) - 2048), SEEK_SET)
        guard let line = try messages.readAll(limit: 4096).split(separator: UInt8(ascii: "\n")).last else { return "" }
        let text = FileName(line.filter { $0 != 0 }).description
        let start = "level=fatal msg="
        return ": " + (text.split(separator: start, maxSplits: 1).last.map(String.init) ?? text)
    }

    private static func program(_ name: String) throws(CommandFailure) -> String {
        let search = getenv("PATH").map { String(cString: $0) } ?? ImageProgram.standardPath
        for folder in search.split(separator: ":") where access("\(folder)/\(name)", X_OK) == 0 {
            return "\(folder)/\(name)"
        }
        throw CommandFailure(
            "\(name) is not installed; images are imported by skopeo and umoci. Run: apt-get install skopeo umoci")
    }

    /// skopeo chooses among an image's variants, but takes a single one as it is.
    private static func checkPlatform(_ image: OCIImage.Configuration) throws(CommandFailure) {
        var system = utsname()
        uname(&system)
        let machine = withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        // As GOARCH names them, which the specification asks for.
        let own = ["x86_64": "amd64", "aarch64": "arm64"][machine] ?? machine
        guard image.architecture.isEmpty || image.architecture == own, image.system.isEmpty || image.system == "linux"
        else {
            throw CommandFailure(
                "the image is for \(image.system) on \(image.architecture); this machine is linux on \(own)")
        }
    }
}
