import Glibc
import Images
import Linux
import Model
import Policy

/// A folder of a benchmark's own, with one image for each payload; it goes with its owner.
final class BenchSite {
    /// Absolute; readable by everyone, as the payloads must be for sandboxes that are not root.
    let path: String

    init() throws {
        var template = Array("/tmp/plane-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno, "mkdtemp /tmp/plane-bench-…") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        chmod(path, 0o755)
        for payload in BenchPayload.allCases { try makeImage(payload) }
        try File.makeDirectory(state + "/policies", mode: 0o755)
    }

    deinit { try? FileTree(path: path).remove() }

    /// The state folder of the warden.
    var state: String { path + "/state" }

    /// The root folder of a payload's image.
    func root(of payload: BenchPayload) -> String { "\(state)/images/\(payload.rawValue)/rootfs" }

    /// The payload as a file of the host.
    func file(of payload: BenchPayload) -> String { root(of: payload) + BenchPayload.pathInside }

    private func makeImage(_ payload: BenchPayload) throws {
        // Other sandboxes cannot make the folders that they mount on in a read-only root.
        for folder in ["proc", "dev", "tmp"] {
            try File.makeDirectories("\(root(of: payload))/\(folder)", mode: 0o755)
        }
        try write(payload.executable(for: .native), to: file(of: payload), mode: 0o755)
        let manifest = ImageManifest(name: try ImageName(payload.rawValue), command: [BenchPayload.pathInside])
        try write(
            Array(manifest.json.text.utf8), to: "\(state)/images/\(payload.rawValue)/manifest.json", mode: 0o644)
    }

    /// Writes a file whose mode does not depend on the caller's mask.
    func write(_ bytes: [UInt8], to path: String, mode: UInt32) throws {
        try File.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode).writeAll(bytes)
        chmod(path, mode)
    }
}
