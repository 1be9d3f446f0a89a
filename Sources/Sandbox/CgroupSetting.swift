import Glibc
import Linux
import Model

/// A value for one control file of a cgroup, formatted once when plans are loaded. The kernel's admin-guide/cgroup-v2.
struct CgroupSetting: Hashable, Sendable {
    /// For example `memory.max`; what stands before the first dot is its controller.
    let file: String
    let value: String
    /// Whether a kernel without the file keeps the limit anyway.
    let need: Need

    enum Need: Hashable, Sendable {
        case required
        /// memory.swap.max is missing where the kernel counts no swap; it has none to give then, or counts it as memory.
        case whereOffered
    }

    var controller: Substring { file.prefix { $0 != "." } }

    /// All settings of a plan, in the order in which they are written.
    /// - Parameter disk: `major:minor` of the disk that holds the image, for io.max; nil when it is on none.
    static func all(of plan: SandboxPlan, disk: String?) -> [CgroupSetting] {
        let limits = plan.cgroup
        var settings = [
            CgroupSetting("memory.max", String(limits.memoryMaxBytes)),
            CgroupSetting("memory.swap.max", String(limits.swapMaxBytes), .whereOffered),
            // One process of a group that ran out of memory is no sandbox any more: the kernel ends all of it at once.
            CgroupSetting("memory.oom.group", "1"),
            CgroupSetting("cpu.max", "\(limits.cpuQuotaMicroseconds) \(limits.cpuPeriodMicroseconds)"),
            CgroupSetting("pids.max", String(limits.pidsMax)),
        ]
        if let high = limits.memoryHighBytes { settings.append(CgroupSetting("memory.high", String(high))) }
        if let weight = limits.cpuWeight { settings.append(CgroupSetting("cpu.weight", String(weight))) }
        if let weight = limits.ioWeight { settings.append(CgroupSetting("io.weight", "default \(weight)")) }
        if limits.io != SandboxPlan.IOLimits(), let disk {
            settings.append(CgroupSetting("io.max", disk + limits.io.text))
        }
        return settings
    }

    private init(_ file: String, _ value: String, _ need: Need = .required) {
        self.file = file
        self.value = value
        self.need = need
    }

    /// `major:minor` of the whole disk behind a file, which is what io.max takes; nil for a file system without one.
    static func disk(of file: FileStatus) -> String? {
        let major = file.device >> 8 & 0xfff | file.device >> 32 & 0xffff_f000
        let minor = file.device & 0xff | file.device >> 12 & 0xffff_ff00
        let place = "/sys/dev/block/\(major):\(minor)"
        guard File.status(place) != nil else { return nil }
        // sysfs(5): a partition's folder is within its disk's.
        let isPartition = (try? File.read(place + "/partition")) != nil
        guard let text = try? File.readText(isPartition ? place + "/../dev" : place + "/dev") else { return nil }
        return String(text.prefix { $0 != "\n" })
    }
}

extension SandboxPlan.IOLimits {
    /// As io.max takes it behind the device.
    var text: String {
        [
            ("rbps", readBytesPerSecond), ("wbps", writeBytesPerSecond), ("riops", readsPerSecond),
            ("wiops", writesPerSecond),
        ].compactMap { name, value in value.map { " \(name)=\($0)" } }.joined()
    }
}
