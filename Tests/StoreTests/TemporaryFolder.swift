import Glibc

/// A folder that is gone with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    /// - Parameter parent: where it is made; what is in `/dev/shm` never waits for a disk.
    init(in parent: String = "/tmp") {
        var template = Array("\(parent)/plane-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("mkdtemp: \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        guard let folder = opendir(path) else { return }
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
