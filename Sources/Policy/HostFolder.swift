internal import Model

/// Folders of the host that a policy must not hand out, since what they hold reaches further than files do.
///
/// Only names are compared: a link on the host that leads to one of them is for the warden to refuse, which resolves it.
enum HostFolder {
    /// How far a refusal goes.
    private enum Reach {
        /// The folder, all below it, and all that contain it.
        case everything
        /// The folder and all that contain it; folders made below it by their owner may be had.
        case itself
    }

    private static let sockets =
        "holds the sockets of the host's services, and a socket works through a read-only mount as well"

    private static let notToShow: [(path: String, reach: Reach, reason: String)] = [
        ("/proc", .everything, "shows the host's processes"),
        ("/sys", .everything, "is the host's kernel and hardware"),
        ("/dev", .everything, "holds the host's devices"),
        ("/run", .everything, sockets),
        ("/var/run", .everything, sockets),
        ("/var/spool", .everything, sockets),
        ("/var/lib/docker", .everything, "holds the file systems of containers"),
        ("/var/lib/containerd", .everything, "holds the file systems of containers"),
        ("/var/lib/containers", .everything, "holds the file systems of containers"),
        ("/var/lib/plane/run", .everything, "holds the warden's socket"),
        ("/tmp", .itself, "holds the sockets and files of every program on the host"),
        ("/var/tmp", .itself, "holds the files of every program on the host"),
    ]

    /// Folders whose content the host runs or trusts.
    private static let notToWrite = [
        "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/root", "/sbin", "/tmp", "/usr", "/var/tmp",
    ]

    /// A path whose content may be shown read-only.
    static func checkedToShow(_ path: String, field: String) throws(InvalidValue) -> String {
        let path = try checkedPlainPath(path, field: field)
        if path == "/" {
            throw InvalidValue(field: field, problem: "\"/\" is all of the host; name the one folder that is needed")
        }
        for (folder, reach, reason) in notToShow {
            switch (PathOrder(path, folder), reach) {
            case (.same, _), (.inside, .everything): throw refusal(path, field, "\(folder) \(reason)")
            case (.contains, _): throw refusal(path, field, "it contains \(folder), which \(reason)")
            case (.inside, .itself), (.apart, _): break
            }
        }
        return path
    }

    /// A path below which folders may be made and handed out writable.
    static func checkedToHoldVolumes(_ path: String, field: String) throws(InvalidValue) -> String {
        let path = try checkedToShow(path, field: field)
        for folder in notToWrite {
            switch PathOrder(path, folder) {
            case .same, .inside:
                throw refusal(path, field, "\(folder) is the host's own, and volumes are writable")
            case .contains, .apart: break
            }
        }
        return path
    }

    private static func refusal(_ path: String, _ field: String, _ reason: String) -> InvalidValue {
        InvalidValue(
            field: field,
            problem: "\"\(path.prefix(80))\" cannot be given to a sandbox: \(reason); name a folder of your own, "
                + "such as \"/srv/data\"")
    }
}
