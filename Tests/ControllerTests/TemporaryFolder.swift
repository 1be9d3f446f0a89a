import Glibc

/// A folder that is gone with its owner.
final class TemporaryFolder: Sendable {
    private enum Ownership { case own, borrowed }

    let path: String
    private let ownership: Ownership

    /// A folder that another process made and will delete.
    init(borrowed path: String) {
        self.path = path
        ownership = .borrowed
    }

    init() {
        ownership = .own
        var template = Array("/tmp/plane-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("mkdtemp: \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        guard ownership == .own, let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    /// A file's path within it.
    func file(_ name: String) -> String { "\(path)/\(name)" }
}
