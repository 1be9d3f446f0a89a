import Glibc
import Linux

/// The built `plane`, run as a person runs it.
enum PlaneProgram {
    struct Outcome {
        /// As a shell tells it.
        let status: Int32
        let output: String
        let errors: String
    }

    /// One that runs; its output is collected in files, so that it never waits for a reader.
    struct Running {
        let pid: Int32
        fileprivate let output: Int32
        fileprivate let errors: Int32

        /// Waits for its end.
        func finish() throws -> Outcome {
            let status = try ProcessDescriptor(ofChild: pid).reap()
            return Outcome(
                status: status.shellStatus, output: try Self.text(output), errors: try Self.text(errors))
        }

        private static func text(_ file: Int32) throws -> String {
            lseek(file, 0, SEEK_SET)
            return String(decoding: try Descriptor(owning: file).readAll(limit: 1 << 20), as: UTF8.self)
        }
    }

    static func run(
        _ words: [String], path: String? = nil, variables: [String: String] = [:]
    ) throws -> Outcome { try start(words, path: path, variables: variables).finish() }

    /// Starts it. posix_spawn(3), since this process has threads.
    /// - Parameters:
    ///   - searchPath: its PATH; nil for this process's own.
    ///   - added: environment variables in place of this process's own.
    static func start(
        _ words: [String], path searchPath: String? = nil, variables added: [String: String] = [:]
    ) throws -> Running {
        let own = try CurrentProcess.executablePath()
        let path = String(own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex)) + "plane"
        let (output, errors) = (try unnamedFile(), try unnamedFile())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: Int32 = 0
        var named = added
        if let searchPath { named["PATH"] = searchPath }
        var variables: [UnsafeMutablePointer<CChar>?] = named.map { strdup("\($0.key)=\($0.value)") }
        defer { for variable in variables { free(variable) } }
        var next = environ
        while let entry = next.pointee {
            let name = String(String(cString: entry).prefix { $0 != "=" })
            if named[name] == nil { variables.append(strdup(entry)) }
            next += 1
        }
        variables.append(nil)
        let failed = posix_spawn(&pid, path, &actions, nil, &arguments, &variables)
        guard failed == 0 else { throw SystemError(failed, "posix_spawn \(path)") }
        return Running(pid: pid, output: output, errors: errors)
    }

    /// Whether a process has this text in its command line.
    static func isAnyRunning(mentioning text: String) throws -> Bool {
        for name in try File.names(in: "/proc") where Int32(name) != nil {
            if let words = try? File.readText("/proc/\(name)/cmdline"), words.contains(text) { return true }
        }
        return false
    }

    private static func unnamedFile() throws -> Int32 {
        var template = Array("/tmp/plane-test-output-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw SystemError(errno, "mkstemp") }
        unlink(template)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        return file
    }
}
