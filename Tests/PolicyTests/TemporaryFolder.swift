import Glibc

/// A folder of root's that is gone when its owner is.
final class TemporaryFolder {
    let path: String

    init() throws {
        var name = Array("/tmp/policy-tests-XXXXXX".utf8CString)
        guard mkdtemp(&name) != nil else { throw Failure(what: "mkdtemp", code: errno) }
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
    }

    deinit { _ = try? Command.run("rm -rf \(path)") }

    struct Failure: Error { let what: String, code: Int32 }

    func makeFolder(_ name: String) throws {
        guard mkdir("\(path)/\(name)", 0o755) == 0 else { throw Failure(what: name, code: errno) }
    }

    @discardableResult
    func write(_ name: String, _ content: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        unlink(file)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failure(what: file, code: errno) }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, content, content.count) == content.count else {
            throw Failure(what: file, code: errno)
        }
        fchmod(descriptor, 0o644)
        return file
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }
}

/// Runs a shell command.
enum Command {
    struct Result: Equatable {
        let output: String
        /// As wait(2) gives it: 0 is success.
        let status: Int32
    }

    static func run(_ command: String) throws -> Result {
        guard let pipe = popen("exec 2>&1; \(command)", "re") else {
            throw TemporaryFolder.Failure(what: "popen", code: errno)
        }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&chunk, 1, chunk.count, pipe), count > 0 { output += chunk[..<count] }
        let status = pclose(pipe)
        return Result(output: String(decoding: output, as: UTF8.self), status: status)
    }

    static func content(of path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TemporaryFolder.Failure(what: path, code: errno) }
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &content, content.count)
        return Array(content.prefix(max(count, 0)))
    }
}
