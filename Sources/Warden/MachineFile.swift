import Glibc
import Linux
import Model

/// What tells the sandboxes of this warden from those of every other: of another boot, another machine or another state
/// folder. Two drones that name the same one see the same sandboxes.
///
/// The boot's id comes from the kernel, as no sandbox outlives its boot. The state folder's is random and kept there in a
/// file, and the file's own place on disk is told with it, so that a copy of the folder is another one. That one warden at
/// a time serves a folder is ensured by its lock, and that nothing of an earlier one is left by the clean-up at start; that
/// is done in the cgroup named for the folder's path, so a folder that has another path is another one too.
struct MachineFile {
    private let path: String
    private let pathDigest: String

    /// 16 random bytes as hexadecimal digits.
    private static let digitCount = 32

    init(_ configuration: WardenConfiguration) {
        path = configuration.statePath + "/machine"
        pathDigest = configuration.pathDigest
    }

    /// Reads the folder's id, or makes one where there is none. The folder's lock must be held.
    func identity() throws(WardenRefusal) -> MachineIdentity {
        do {
            if File.status(path) == nil { try make() }
            let file = try File.open(path, O_RDONLY | O_NOFOLLOW)
            let status = try File.status(file)
            guard status.kind == .regular, status.userID == 0, status.mode & 0o022 == 0 else {
                throw SystemError(
                    EPERM, "\(path), which must be a file that only root can write; remove it if it is not")
            }
            let digits = String(decoding: try file.readAll(limit: 4096), as: UTF8.self)
            let boot = try File.readText("/proc/sys/kernel/random/boot_id").prefix { $0 != "\n" }
            guard digits.utf8.count == Self.digitCount else {
                throw SystemError(EBADMSG, "\(path), which is not an id that a warden wrote; remove it")
            }
            let place = String(status.device, radix: 16) + "-" + String(status.inode, radix: 16) + "-" + pathDigest
            return try MachineIdentity("\(boot)-\(digits)-\(place)")
        } catch let error as SystemError {
            throw WardenRefusal("cannot start: \(error)")
        } catch {
            throw WardenRefusal("cannot start: \(path) and the kernel's boot id make no identity: \(error)")
        }
    }

    /// Complete or not at all: the file gets its name when all is in it.
    private func make() throws(SystemError) {
        let bytes = CurrentProcess.randomBytes(Self.digitCount / 2)
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let unfinished = path + ".new"
        // What an earlier start left when it was cut short.
        unlink(unfinished)
        let file = try File.open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        try file.writeAll(Array(digits.utf8))
        // Else a power cut could leave an empty file under the name, and no warden would start on it. fsync(2)
        guard fsync(file.raw) == 0 else { throw SystemError(errno, "fsync \(unfinished)") }
        guard rename(unfinished, path) == 0 else { throw SystemError(errno, "rename \(unfinished)") }
    }
}
