import Glibc
import Images
import Linux

@testable import plane

/// A folder that goes with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/plane-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno, "mkdtemp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        chmod(path, 0o755)
    }

    deinit { try? FileTree(path: path).remove() }

    /// A file below it, with the folders above it.
    func write(_ text: String, to name: String, mode: UInt32 = 0o644) throws {
        let place = "\(path)/\(name)"
        try File.makeDirectories(String(place[..<(place.lastIndex(of: "/") ?? place.endIndex)]), mode: 0o755)
        try File.open(place, O_WRONLY | O_CREAT | O_TRUNC, mode: mode).writeAll(Array(text.utf8))
        chmod(place, mode)
    }

    func names(_ folder: String) throws -> [String] { try File.names(in: "\(path)/\(folder)") }
}
