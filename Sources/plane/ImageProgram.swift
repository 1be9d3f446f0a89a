import Glibc
import Linux

/// Finds programs inside an image's tree, with the tree as root for every link on the way. openat2(2).
enum ImageProgram {
    /// Where programs are looked for when nothing says otherwise.
    static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// - Returns: the program's absolute path inside the tree.
    static func find(_ word: String, below rootPath: String, searchPath: String) throws -> String {
        let root = try File.open(rootPath, O_RDONLY | O_DIRECTORY)
        if word.hasPrefix("/") {
            guard isFile(word, root) else { throw CommandFailure("there is no file \(word) in \(rootPath)") }
            return word
        }
        guard !word.contains("/"), !word.isEmpty else {
            throw CommandFailure("\"\(word)\" is neither a program's name nor an absolute path inside the image")
        }
        for folder in searchPath.split(separator: ":") where isFile("\(folder)/\(word)", root) {
            return "\(folder)/\(word)"
        }
        throw CommandFailure("there is no program \"\(word)\" in the image's PATH, \(searchPath)")
    }

    private static func isFile(_ path: String, _ root: borrowing Descriptor) -> Bool {
        do throws(SystemError) {
            let file = try File.open(path, below: root, File.pathOnly, .inRoot)
            return try File.status(file).kind == .regular
        } catch { return false }
    }
}
