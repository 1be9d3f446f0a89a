import Glibc
import Linux

/// A program with its arguments and environment, ready for execve(2).
struct ProgramCall {
    /// Absolute, or relative to the working folder.
    let path: String
    let arguments: [String]
    let environment: [String]

    /// - Parameter environment: `NAME=VALUE`s; nil passes this process's own on.
    init(_ path: String, _ arguments: [String], environment: [String]? = nil) {
        self.path = path
        self.arguments = arguments
        self.environment = environment ?? Self.ownEnvironment
    }

    /// A program of Plane's beside this one.
    /// - Parameter override: an environment variable that names another file.
    static func sibling(_ name: String, override: String) throws -> String {
        if let path = getenv(override) { return String(cString: path) }
        let own = try CurrentProcess.executablePath()
        let path = String(own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex)) + name
        guard access(path, X_OK) == 0 else {
            throw CommandFailure("\(path) is missing; it belongs beside plane. Build it: swift build --product \(name)")
        }
        return path
    }

    /// This process's environment. Swift's handler of crashes would start a thread and write to the sandbox's output.
    static var ownEnvironment: [String] {
        var all: [String] = []
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if !text.hasPrefix("SWIFT_BACKTRACE=") { all.append(text) }
            next += 1
        }
        return all + ["SWIFT_BACKTRACE=enable=no"]
    }

    /// Makes this process the program. Returns only if that fails.
    func replaceThisProcess() -> SystemError {
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) }
        words.append(nil)
        variables.append(nil)
        execve(path, &words, &variables)
        return SystemError(errno, "execve \(path)")
    }
}
