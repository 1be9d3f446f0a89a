import Glibc
import Linux

/// What of /proc is made harmless, as far as the running kernel has it: looked up once, not at every start.
struct ProcEntries: Sendable {
    /// Through these the host could be changed.
    let readOnly: [String]
    /// These tell of the host or of other users of it.
    let masked: [String]

    init() {
        readOnly = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"].filter(Self.exists)
        masked = [
            "kcore", "keys", "key-users", "timer_list", "sched_debug", "kallsyms", "kmsg", "config.gz", "interrupts",
            "softirqs", "slabinfo", "pagetypeinfo", "vmallocinfo", "latency_stats", "modules", "cmdline", "iomem",
            "ioports", "kpagecount", "kpageflags", "kpagecgroup",
        ].filter(Self.exists)
    }

    private static func exists(_ name: String) -> Bool { File.status("/proc/" + name) != nil }
}
