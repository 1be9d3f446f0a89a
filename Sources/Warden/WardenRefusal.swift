import Linux

/// Why the warden does not start, as a sentence with the next step.
public struct WardenRefusal: Error, CustomStringConvertible {
    public let description: String

    init(_ sentence: String) { description = sentence }

    /// Limits would be promised that nobody enforces.
    static func missing(_ controllers: [String]) -> WardenRefusal {
        let places = controllers.map { name -> String in
            let versionOne = "/sys/fs/cgroup/" + name
            return File.status(versionOne) == nil ? name : "\(name) (it is mounted as v1 at \(versionOne))"
        }
        return WardenRefusal(
            "cannot start: not offered by cgroup v2 here: \(places.joined(separator: ", ")). Boot with "
                + "systemd.unified_cgroup_hierarchy=1, or pass --allow-missing-controllers to run without these limits."
        )
    }
}
