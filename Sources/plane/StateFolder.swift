import Glibc
import Linux

/// The folder that holds everything Plane keeps on a machine.
struct StateFolder {
    /// `--state DIR` of every subcommand that has one.
    static let flag = Flag(
        "--state", .value("DIR", default: "/var/lib/plane"), "where images, policies and the database are")

    /// Absolute.
    let path: String

    init(_ arguments: Arguments) throws(UsageError) {
        let text = arguments.required(Self.flag)
        // The warden hands paths to overlayfs as mount options, where these characters have a meaning.
        guard text.hasPrefix("/"), text != "/", !text.utf8.contains(where: { ",:\\".utf8.contains($0) }) else {
            throw arguments.wrong("--state \(text): write an absolute path without comma, colon and backslash")
        }
        path = text.hasSuffix("/") ? String(text.dropLast()) : text
    }

    var images: String { path + "/images" }
    var policies: String { path + "/policies" }
    var run: String { path + "/run" }
    var wardenSocket: String { run + "/warden.sock" }
    var wardenLock: String { run + "/warden.lock" }
    var controller: String { path + "/controller" }
    var database: String { controller + "/plane.db" }
    var developmentLock: String { path + "/dev.lock" }
}
