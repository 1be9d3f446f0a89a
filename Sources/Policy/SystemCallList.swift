internal import Glibc

/// The list `default`: what CPython, Node, shells, compilers and servers need, and nothing that only administers a
/// machine. A call that is on none of these lists answers ENOSYS, which programs take for an older kernel and work
/// around; one that a program should know to be forbidden answers EPERM.
enum SystemCallList {
    /// Files and folders. Permissions are checked by the kernel as ever; the image is read-only underneath.
    static let files = """
        access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 \
        fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock \
        fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr \
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lchown lgetxattr link linkat listxattr llistxattr \
        lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv \
        preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat renameat2 \
        rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate \
        umask unlink unlinkat utime utimensat utimes write writev
        """

    /// Memory of the process itself.
    static let memory = """
        brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap mseal \
        msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        """

    /// Processes, threads, their identities and priorities. Capabilities are empty, so the setters cannot raise any.
    static let processes = """
        arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv \
        futex_wake get_robust_list getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority \
        getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule \
        landlock_create_ruleset landlock_restrict_self pidfd_open pidfd_send_signal prlimit64 rseq \
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
        sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
        sched_yield seccomp set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority \
        setregid setresgid setresuid setreuid setrlimit setsid setuid tgkill times tkill vfork wait4 waitid
        """

    /// Signals, timers and clocks, without the calls that set the machine's clock.
    static let time = """
        alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep pause restart_syscall \
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
        rt_tgsigqueueinfo setitimer sigaltstack signalfd signalfd4 time timer_create timer_delete timer_getoverrun \
        timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
        """

    /// Waiting, pipes, sockets and System V and POSIX message passing, the latter two in a namespace of the sandbox.
    static let communication = """
        accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 \
        epoll_wait epoll_wait_old eventfd eventfd2 getpeername getsockname getsockopt listen mq_getsetattr mq_notify \
        mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 poll ppoll pselect6 \
        recvfrom recvmmsg recvmsg select semctl semget semop semtimedop sendmmsg sendmsg sendto shmat shmctl \
        shmdt shmget shutdown
        """

    /// About the machine, read only.
    static let machine = "getrandom sysinfo uname"

    /// Let through whatever their arguments.
    static let allowed = words(files, memory, processes, time, communication, machine)

    /// What a policy that lets a forbidden call through gives up, and those calls.
    static let dangers: [(loss: String, calls: Set<String>)] = [
        (
            "it administers mounts and namespaces, by which containers were left",
            words(
                """
                chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount name_to_handle_at \
                open_by_handle_at open_tree open_tree_attr pivot_root setns umount2 unshare
                """)
        ),
        (
            "it reaches other processes' memory, descriptors and registers, those of the same sandbox only",
            words(
                "kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace")
        ),
        (
            "it opens a part of the kernel that was broken out of again and again",
            words(
                """
                add_key bpf fanotify_init fanotify_mark io_uring_enter io_uring_register io_uring_setup keyctl \
                lookup_dcookie memfd_secret perf_event_open request_key userfaultfd vmsplice
                """)
        ),
        (
            "it administers the machine itself",
            words(
                """
                acct adjtimex clock_adjtime clock_settime delete_module finit_module init_module ioperm iopl \
                kexec_file_load kexec_load modify_ldt quotactl quotactl_fd reboot setdomainname sethostname settimeofday \
                swapoff swapon syslog vhangup
                """)
        ),
    ]

    /// Refused with EPERM: a program that asks for these should hear that they are forbidden, not that they are unknown.
    static let forbidden = dangers.reduce(into: Set<String>()) { $0.formUnion($1.calls) }

    /// Every name that a list has.
    static let known = allowed.union(forbidden).union(conditional.keys).sorted()

    /// Decided by their arguments.
    static let conditional: [String: SystemCallDecision] = [
        "clone": .byBits(argument: 0, mask: namespaceFlags, clear: .allow, otherwise: .refuse(EPERM)),
        "ioctl": .byValue(
            argument: 1, Dictionary(uniqueKeysWithValues: forbiddenControls.map { ($0, .refuse(EPERM)) }),
            otherwise: .allow),
        "personality": .byValue(argument: 0, allowing(harmlessPersonalities), otherwise: .refuse(EPERM)),
        // What the kernel itself answers for an option that it does not know.
        "prctl": .byValue(argument: 0, allowing(processControls), otherwise: .refuse(EINVAL)),
        // TCP_ULP puts TLS and the like into the kernel, under a socket of anybody; what a kernel without them answers.
        "setsockopt": .byValue(
            argument: 1, [6: .byValue(argument: 2, [31: .refuse(ENOENT)], otherwise: .allow)], otherwise: .allow),
        "socket": .byValue(
            argument: 0,
            [
                1: .allow,  // AF_UNIX
                2: internetSocket, 10: internetSocket,  // AF_INET, AF_INET6
                // AF_NETLINK with NETLINK_ROUTE: glibc's getaddrinfo and if_nameindex ask it for the interfaces.
                16: .byValue(argument: 2, [0: .allow], otherwise: .refuse(EPROTONOSUPPORT)),
            ], otherwise: .refuse(EAFNOSUPPORT)),
        // AF_UNIX; the only other family that makes pairs is TIPC.
        "socketpair": .byValue(argument: 0, [1: .allow], otherwise: .refuse(EOPNOTSUPP)),
    ]

    /// What the list says of a call.
    static func decision(_ name: String) -> SystemCallDecision {
        if allowed.contains(name) { return .allow }
        return conditional[name] ?? .refuse(forbidden.contains(name) ? EPERM : ENOSYS)
    }

    /// By default, ICMP, TCP, UDP, ICMPv6. SCTP, DCCP, L2TP, MPTCP and the like are much code for nothing here.
    private static let internetSocket = SystemCallDecision.byValue(
        argument: 2, allowing([0, 1, 6, 17, 58]), otherwise: .refuse(EPROTONOSUPPORT))

    /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME of linux/sched.h. The last is within
    /// the byte of the exit signal, where no signal has it.
    static let namespaceFlags: UInt32 = 0x7e02_0080

    /// TIOCSTI and TIOCLINUX type into a terminal as if its user had (CVE-2017-5226); TIOCSETD loads line disciplines.
    static let forbiddenControls: [UInt32] = [0x5412, 0x541c, 0x5423]

    /// PER_LINUX, PER_LINUX32, UNAME26, both, and 0xffffffff, which only asks. The others make memory executable or
    /// addresses predictable.
    private static let harmlessPersonalities: [UInt32] = [0, 8, 0x20000, 0x20008, 0xffff_ffff]

    /// Options of linux/prctl.h that act on the caller alone and cannot loosen anything. Not among them: SET_MM
    /// (forges /proc/self/exe), SET_SPECULATION_CTRL, MCE_KILL, SCHED_CORE, SET_MEMORY_MERGE, SET_SYSCALL_USER_DISPATCH.
    private static let processControls: [UInt32] = [
        1, 2,  // SET_PDEATHSIG, GET_PDEATHSIG
        3, 4,  // GET_DUMPABLE, SET_DUMPABLE
        7, 8,  // GET_KEEPCAPS, SET_KEEPCAPS
        13, 15, 16,  // GET_TIMING, SET_NAME, GET_NAME
        21, 22,  // GET_SECCOMP, SET_SECCOMP: a further filter can only take away
        23, 24, 25,  // CAPBSET_READ, CAPBSET_DROP, GET_TSC
        27, 28,  // GET_SECUREBITS, SET_SECUREBITS: setting needs a capability that is gone
        29, 30,  // SET_TIMERSLACK, GET_TIMERSLACK
        36, 37,  // SET_CHILD_SUBREAPER, GET_CHILD_SUBREAPER
        38, 39, 40,  // SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS, GET_TID_ADDRESS
        41, 42,  // SET_THP_DISABLE, GET_THP_DISABLE
        47,  // CAP_AMBIENT
        50, 51,  // SVE_SET_VL, SVE_GET_VL (arm64)
        52,  // GET_SPECULATION_CTRL
        54, 55, 56, 60, 61, 63, 64,  // PAC, tagged addresses and SME (arm64)
        65, 66,  // SET_MDWE, GET_MDWE
        0x5356_4d41,  // SET_VMA: names of anonymous memory, which malloc and V8 give
        0x5961_6d61,  // SET_PTRACER: crash handlers call it; ptrace itself is refused
    ]

    /// Why a policy may not let a call through, as the rest of a sentence that begins with its name; nil if it may.
    static func reasonNotToAllow(_ name: String) -> String? {
        if conditional[name] != nil {
            return
                "is let through already as far as its arguments are harmless; without that check the sandbox has a hole"
        }
        if name == "clone3" {
            return "can make namespaces, and a filter cannot see its flags; programs use clone when it is not there"
        }
        return nil
    }

    /// Calls whose first argument a policy may allow further values of, and those it may not: they concern the caller
    /// alone. PR_SET_MM forges /proc/self/exe.
    private static let extensible: [String: Set<UInt32>] = ["personality": [], "prctl": [35]]

    /// The same for a call with a condition.
    static func reasonNotToAllow(_ rule: SystemCallRule) -> String? {
        if let never = extensible[rule.call] {
            guard case .isOneOf(let values) = rule.condition, rule.argument == 0, never.isDisjoint(with: values) else {
                return "can be given further values of argument 0 only"
                    + (never.isEmpty ? "" : ", and not \(never.map(String.init).joined(separator: ", "))")
            }
            return nil
        }
        if allowed.contains(rule.call) {
            return "is let through already, whatever its arguments; write it under seccomp.deny to refuse some"
        }
        return reasonNotToAllow(rule.call)
    }

    /// Why a policy may not refuse a call, as the rest of a sentence that begins with its name; nil if it may.
    static func reasonNotToDeny(_ name: String) -> String? {
        switch name {
        case "execve", "exit", "exit_group", "rt_sigreturn":
            "cannot be refused: without it no command starts and ends"
        case "clone3":
            "answers ENOSYS already; refused with EPERM, it would keep programs from using clone in its place"
        default: nil
        }
    }

    private static func allowing(_ values: [UInt32]) -> [UInt32: SystemCallDecision] {
        Dictionary(uniqueKeysWithValues: values.map { ($0, .allow) })
    }

    private static func words(_ texts: String...) -> Set<String> {
        Set(texts.flatMap { $0.split(separator: " ").map(String.init) })
    }
}
