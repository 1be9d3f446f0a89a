import Sandbox
import Testing

/// What a probe gets through to when these layers are left out: the proof that they are what stops it.
struct ProbeProof: CustomTestStringConvertible {
    let without: Set<SandboxLayer>
    let opens: [String]
    /// Needed besides for the probe to get so far, and not what is being proved.
    let besides: Set<SandboxLayer>

    init(_ without: Set<SandboxLayer>, besides: Set<SandboxLayer> = [], opens: [String]) {
        self.without = without
        self.besides = besides
        self.opens = opens
    }

    var testDescription: String { without.map(\.rawValue).sorted().joined(separator: ", ") }

    /// What makes the command a root of its namespaces that may call anything.
    static let privileged: Set<SandboxLayer> = [
        .seccomp, .capabilities, .boundingSet, .secureBits, .commandUser, .noNewPrivileges, .landlock,
    ]

    /// One row for each set of layers; Tests/Probes says what each probe is.
    static let all: [ProbeProof] = [
        ProbeProof(
            [.seccomp],
            opens: [
                "filter-on-every-thread", "clone3-is-unknown", "io-uring", "io-uring-others", "bpf-reached",
                "perf-event", "keyctl", "add-key", "request-key", "kcmp", "pidfd-getfd", "process-vm-readv", "ptrace",
                "vmsplice", "modify-ldt", "personality", "speculation-control", "int-0x80", "af-vsock", "mptcp",
                "netlink-netfilter", "netlink-generic", "netlink-xfrm", "netlink-uevent", "netlink-diag",
                "type-into-own", "type-with-high-bits", "line-discipline", "userfaultfd", "memfd-secret", "fanotify",
            ]),
        ProbeProof(
            [.seccomp, .userNamespaceLimit],
            opens: ["new-user-namespace", "clone-user-namespace", "clone3-user-namespace"]),
        ProbeProof(
            privileged,
            opens: [
                "effective-capabilities", "permitted-capabilities", "bounding-set", "secure-bits", "user-inside",
                "become-root", "no-new-privileges", "new-mount-namespace", "new-pid-namespace",
                "new-network-namespace", "new-ipc-namespace", "new-uts-namespace", "new-cgroup-namespace",
                "new-time-namespace", "mount", "unmount", "fsopen", "open-tree", "move-mount",
                "mount-setattr", "pivot-root", "chroot", "mount-cgroup-v1", "sethostname", "setdomainname", "reboot",
                "capability-attribute",
            ]),
        ProbeProof([.boundingSet], opens: ["bounding-set"]),
        ProbeProof([.secureBits], opens: ["secure-bits"]),
        ProbeProof([.commandUser], opens: ["user-inside", "become-root"]),
        // The filter and Landlock cannot be put on without it.
        ProbeProof([.noNewPrivileges], besides: [.seccomp, .landlock], opens: ["no-new-privileges"]),
        ProbeProof([.noNewPrivileges, .noSetUserID], besides: [.seccomp, .landlock], opens: ["set-user-id-file"]),
        ProbeProof(
            [.noNewPrivileges, .noSetUserID, .boundingSet], besides: [.seccomp, .landlock],
            opens: ["file-capabilities"]),
        ProbeProof([.noSetUserID], opens: ["mounts-nosuid"]),
        ProbeProof([.noDevices], opens: ["mounts-nodev", "image-device"]),
        ProbeProof([.groups], opens: ["supplementary-groups"]),
        ProbeProof([.resourceLimits], opens: ["core-dumps"]),
        ProbeProof([.closedDescriptors], opens: ["inherited-descriptors", "folder-descriptors"]),
        ProbeProof([.ownSession], opens: ["starters-terminal"]),
        ProbeProof([.ownSession, .seccomp], opens: ["type-into-input", "host-terminal"]),
        ProbeProof([.sessionKeyring, .seccomp], opens: ["starters-key"]),
        ProbeProof(
            [.networkNamespace], opens: ["network-namespace", "interfaces", "host-port", "abstract-sockets-listed"]),
        ProbeProof([.networkNamespace, .landlock], opens: ["abstract-socket"]),
        ProbeProof([.utsNamespace], opens: ["uts-namespace"]),
        ProbeProof([.cgroupNamespace], opens: ["cgroup-namespace", "cgroup-path"]),
        ProbeProof([.timeNamespace], opens: ["time-namespace"]),
        ProbeProof(
            [.procMasks], opens: ["proc-keys", "proc-key-users", "proc-config", "proc-interrupts", "proc-cmdline"]),
        ProbeProof([.hiddenProcesses], opens: ["others-visible"]),
        ProbeProof([.readOnlyProc, .commandUser], opens: ["settings-writable"]),
        ProbeProof(
            [.readOnlyProc, .commandUser, .idRange],
            opens: ["host-root-mapped", "core-pattern", "overcommit", "ip-forward"]),
        ProbeProof(privileged.union([.pivotRoot]), opens: ["leave-root"]),
        ProbeProof([.initUser, .commandUser], besides: [.hiddenProcesses, .landlock], opens: ["init-signal"]),
    ]

    /// Layers that cannot be left out: what the kernel says to a sandbox without them.
    static let indispensable: [(layer: SandboxLayer, refusal: String)] = [
        (.pidNamespace, "fsconfig proc create: Operation not permitted"),
        (.ipcNamespace, "fsconfig mqueue create: Operation not permitted"),
    ]

    /// Layers against what lies in the image: `linkedTargetsAreRefused`, `linkedDevices`, `initIsHarmless`.
    static let provedElsewhere: Set<SandboxLayer> = [.linkRefusal, .ownDevices, .initProgram]

    /// What no single layer stops but being in a sandbox at all, or a layer that cannot be left out: without any sandbox,
    /// as root, the probe gets through.
    static let openOnHost = [
        "pid-namespace", "host-process", "ipc-namespace", "system-v-memory", "posix-queue", "user-namespace",
        "mount-namespace", "environment", "bpf", "open-by-handle", "swapon", "swapoff", "acct", "settimeofday",
        "adjtimex", "block-device", "memory-device", "overlay-attribute", "netlink-audit", "socket-files", "host-name",
        "host-file", "host-temporary", "init-descriptors", "raise-priority", "device-list",
        // A sandbox's network belongs to the host's user namespace: no capability inside holds there.
        "enter-namespace", "af-packet", "af-packet-raw", "af-packet-high-bits", "af-xdp", "raw-icmp", "raw-icmp6",
    ]

    /// The same, where the machine has the file.
    static let openWhereThere = [
        "proc-timer-list": "/proc/timer_list", "proc-kallsyms": "/proc/kallsyms", "proc-softirqs": "/proc/softirqs",
        "proc-slabinfo": "/proc/slabinfo", "proc-pagetypeinfo": "/proc/pagetypeinfo",
        "proc-vmallocinfo": "/proc/vmallocinfo", "proc-iomem": "/proc/iomem", "proc-ioports": "/proc/ioports",
        "proc-kpagecount": "/proc/kpagecount", "proc-kpageflags": "/proc/kpageflags", "sys-notes": "/sys/kernel/notes",
        "sys-vmcoreinfo": "/sys/kernel/vmcoreinfo", "machine-devices": "/dev/kmsg",
    ]

    /// In a root file system that is shared with the host, and no more than that.
    static let openInSharedRoot = ["image-writable", "image-device", "file-lock"]

    /// As root in the virtual machine, whose kernel has what the machine at hand may lack: Tests/Guest/test_probes.py.
    static let openInGuest = [
        "init-module", "finit-module", "delete-module", "kexec-load", "kexec-file-load", "iopl", "ioperm", "set-mm",
        "raise-limits", "oom-score", "af-alg", "kernel-tls", "af-key", "af-can", "af-tipc", "af-kcm", "af-qipcrtr",
        "af-smc", "af-rds", "af-phonet", "sctp", "dccp", "modprobe-path", "binfmt-misc", "max-user-namespaces",
        "sysrq-trigger", "proc-kcore", "proc-modules",
    ]

    /// Those that cannot be shown to get through here, and why.
    static let unproven = [
        "inheritable-capabilities": "empty in every starter",
        "ambient-capabilities": "empty in every starter",
        "working-folder": "`descriptorsAsWorkingFolder` shows what it is about",
        "signal-state": "`nothingOfTheStarterComesAlong` shows it",
        "speculation": "only tells what the kernel says",
        "unknown-call": "the kernel answers the same without a filter; Tests/PolicyTests proves the filter's default",
        "threads-work": "is about what must work",
        "loopback-works": "is about what must work",
        "real-time-priority": "root may do it only with CAP_SYS_NICE, which machines withhold",
        "syslog": "depends on the machine's dmesg_restrict",
        "proc-kmsg": "is empty where nobody has logged",
        "vhangup": "would hang up the terminal of the tests",
        "quotactl": "reaches nothing without quotas; Tests/PolicyTests proves that the filter refuses it",
        "x32": "these kernels are built without it; Tests/PolicyTests proves that the filter kills it",
        "tioclinux": "needs a virtual console; Tests/PolicyTests proves that the filter refuses it",
        "af-bluetooth": "no kernel here has it; Tests/PolicyTests proves the filter for every family",
        "af-rxrpc": "as af-bluetooth", "af-nfc": "as af-bluetooth", "l2tp": "as af-bluetooth",
        "cloud-metadata": "the machine of the tests may have no network",
        "local-network": "the machine of the tests may have no network",
        "uevent-helper": "a sandbox has no /sys: `mountsAreHarmless`", "sys-writable": "as uevent-helper",
        "cgroup-writable": "as uevent-helper", "release-agent": "as uevent-helper", "sys-dmi": "as uevent-helper",
        "sys-powercap": "as uevent-helper",
        "proc-sched-debug": "gone from current kernels",
        "proc-others": "what it lists is readable everywhere, as SECURITY.md says",
        "null-device": "`linkedDevices` shows what it is about", "console-device": "`linkedDevices` shows it",
        "init-memory": "`initIsHarmless` shows it", "init-environment": "`initIsHarmless` shows it",
        "init-program": "`interpreterTrap` and `initIsHarmless` show it",
    ]
}
