// System calls that act on the machine or open much of the kernel: each is tried, and what it would change is not.
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/io.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct finding io_uring(void) {
    char parameters[120] = {0};
    return must_fail(syscall(SYS_io_uring_setup, 4, parameters));
}

static struct finding io_uring_others(void) {
    long entered = syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0);
    if (entered >= 0 || (errno != ENOSYS && errno != EPERM)) return found(OPEN, "enter: %s", strerror(errno));
    long registered = syscall(SYS_io_uring_register, -1, 0, NULL, 0);
    if (registered >= 0 || (errno != ENOSYS && errno != EPERM)) return found(OPEN, "register: %s", strerror(errno));
    return found(SAFE, "%s", strerror(errno));
}

static struct finding user_fault(void) {
    long result = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    return result >= 0 ? must_fail(result) : must_fail(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1));
}

static struct finding bpf(void) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return must_fail(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
}

static struct finding bpf_reached(void) {
    union bpf_attr none = {0};
    long result = syscall(SYS_bpf, 9999, &none, sizeof none);
    return found(result < 0 && (errno == EPERM || errno == ENOSYS) ? SAFE : OPEN, "%s", strerror(errno));
}

static struct finding perf(void) {
    struct perf_event_attr event = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1,
        .exclude_hv = 1};
    return must_fail(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
}

static struct finding session_keyring(void) { return must_fail(syscall(SYS_keyctl, 0, -3, 0)); }

static struct finding add_key(void) {
    return must_fail(syscall(SYS_add_key, "user", "plane-probe-own", "x", 1L, -2 /* the process's */));
}

static struct finding request_key(void) {
    // No such key, and no program asked to make one: an unprivileged success of reaching it.
    long result = syscall(SYS_request_key, "user", "plane-probe-none", NULL, 0);
    return found(result < 0 && (errno == EPERM || errno == ENOSYS) ? SAFE : OPEN, "%s", strerror(errno));
}

static struct finding compare(void) {
    return must_fail(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
}

static struct finding take_descriptor(void) {
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return must_fail(syscall(SYS_pidfd_getfd, self, 1, 0));
}

static struct finding read_own_memory(void) {
    char from = 1, to = 0;
    struct iovec here = {&to, 1}, there = {&from, 1};
    return must_fail(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

static struct finding trace(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_SEIZE, child, 0, 0);
    struct finding finding = must_fail(result);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return finding;
}

static struct finding secret_memory(void) {
    long result = syscall(SYS_memfd_secret, 0);
    return result >= 0 ? found(OPEN, "made") : found(SAFE, "%s", strerror(errno));
}

static struct finding watch_file_system(void) {
    long result = syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0);
    return must_fail(result);
}

static struct finding splice_memory(void) {
    int ends[2];
    if (pipe(ends) != 0) return found(INFO, "%s", strerror(errno));
    struct iovec memory = {(void *)"x", 1};
    return must_fail(vmsplice(ends[1], &memory, 1, 0));
}

static struct finding local_descriptor_table(void) {
    char table[16];
    return must_fail(syscall(SYS_modify_ldt, 0, table, sizeof table));
}

static struct finding handle_of_root(void) {
    // A file by its number, past every path check (CVE-2014-9357's shocker): the handle of inode 2, a disk's root.
    struct { unsigned bytes; int type; unsigned number, generation; } handle = {8, 1, 2, 0};
    int mount = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return must_be_refused(syscall(SYS_open_by_handle_at, mount, &handle, O_RDONLY));
}

static struct finding load_module(void) { return must_be_refused(syscall(SYS_init_module, NULL, 0, "")); }
static struct finding load_module_file(void) { return must_be_refused(syscall(SYS_finit_module, -1, "", 0)); }
static struct finding remove_module(void) { return must_be_refused(syscall(SYS_delete_module, "no such", O_NONBLOCK)); }
static struct finding new_kernel(void) { return must_be_refused(syscall(SYS_kexec_load, 0, 0, NULL, ~0UL)); }
static struct finding new_kernel_file(void) { return must_be_refused(syscall(SYS_kexec_file_load, -1, -1, 0, "", ~0UL)); }
static struct finding restart(void) { return must_be_refused(syscall(SYS_reboot, 0, 0, 0, NULL)); }
static struct finding swap_on(void) { return must_be_refused(swapon("/no/such", 0)); }
static struct finding swap_off(void) { return must_be_refused(swapoff("/no/such")); }
static struct finding accounting(void) { return must_be_refused(acct("/no/such")); }
static struct finding ports(void) { return must_fail(iopl(3)); }
static struct finding port(void) { return must_fail(ioperm(0x80, 1, 1)); }
static struct finding hang_up(void) {
    // Done for real it would end the starter's terminal; asked by a session of its own it has none to end.
    if (getpid() != getsid(0) && setsid() < 0) return found(INFO, "cannot leave the session");
    return must_fail(vhangup());
}

static struct finding quota(void) {
    struct dqblk block;
    long result = syscall(SYS_quotactl, QCMD(Q_GETQUOTA, USRQUOTA), "/no/such", 0, &block);
    return result < 0 && (errno == EPERM || errno == ENOSYS) ? found(SAFE, "%s", strerror(errno))
                                                             : found(INFO, "reached: %s", strerror(errno));
}

static struct finding kernel_log(void) {
    return must_fail(syscall(SYS_syslog, 10 /* the buffer's size */, NULL, 0));
}

static struct finding set_time(void) { return must_fail(syscall(SYS_settimeofday, NULL, NULL)); }

static struct finding adjust_time(void) {
    struct timex as_it_is = {0};
    if (adjtimex(&as_it_is) < 0) return found(SAFE, "%s", strerror(errno));
    as_it_is.modes = ADJ_TICK;
    return must_fail(adjtimex(&as_it_is));
}

static struct finding name_host(void) {
    struct utsname names;
    uname(&names);
    return must_fail(sethostname(names.nodename, strlen(names.nodename)));
}

static struct finding name_domain(void) {
    struct utsname names;
    uname(&names);
    return must_fail(syscall(SYS_setdomainname, names.domainname, strlen(names.domainname)));
}

static struct finding executable_data(void) { return must_fail(personality(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE)); }

// EINVAL is what a kernel answers that does not know the option, and a filter that hides it.
static struct finding option_hidden(long result) {
    if (result < 0 && (errno == EINVAL || errno == EPERM)) return found(SAFE, "%s", strerror(errno));
    if (result < 0 && errno == ENXIO) return found(INFO, "reached; this processor has no such switch");
    return found(OPEN, "%s", result < 0 ? strerror(errno) : "the kernel did it");
}

static struct finding forge_own_path(void) {
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return option_hidden(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, file, 0, 0));
}

static struct finding allow_speculation(void) {
    return option_hidden(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0));
}

static struct finding make_node(const char *kind, mode_t mode, dev_t device) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/probe-%s-%d", kind, (int)getpid());
    long result = mknod(path, mode | 0600, device);
    int code = errno;
    if (result == 0) unlink(path);
    if (result < 0 && code != EPERM) return found(INFO, "%s", strerror(code));
    errno = code;
    return must_fail(result);
}

static struct finding make_disk(void) { return make_node("disk", S_IFBLK, makedev(254, 0)); }
static struct finding make_memory_device(void) { return make_node("memory", S_IFCHR, makedev(1, 1)); }

static struct finding set_attribute(const char *name, const void *value, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/probe-attribute-%d", (int)getpid());
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return found(INFO, "no file in /tmp: %s", strerror(errno));
    long result = fsetxattr(file, name, value, size, 0);
    int code = errno;
    unlink(path);
    if (result < 0 && code == EOPNOTSUPP) return found(SAFE, "%s", strerror(code));
    errno = code;
    return must_fail(result);
}

static struct finding overlay_attribute(void) { return set_attribute("trusted.overlay.opaque", "y", 1); }

static struct finding capability_attribute(void) {
    const unsigned capabilities[5] = {0x02000001, 1u << 13, 0, 0, 0};
    return set_attribute("security.capability", capabilities, sizeof capabilities);
}

// A call by the convention of 32-bit programs, past a filter that knows only that of 64-bit ones.
static struct finding old_convention(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory", "r8", "r9", "r10", "r11");
    return result == getpid() ? found(OPEN, "answered") : found(SAFE, "%s", strerror((int)-result));
}

static struct finding x32_convention(void) {
    long result = syscall(0x40000000 | SYS_getpid);
    return result == getpid() ? found(OPEN, "answered") : found(SAFE, "%s", strerror(errno));
}

const struct probe call_probes[] = {
    {"io-uring", 13, "io_uring_setup: work past the filter", io_uring},
    {"io-uring-others", 13, "io_uring_enter and io_uring_register", io_uring_others},
    {"userfaultfd", 17, "userfaultfd: stops the kernel where an attack wants it", user_fault},
    {"bpf", 17, "bpf(MAP_CREATE)", bpf},
    {"bpf-reached", 17, "bpf at all", bpf_reached},
    {"perf-event", 17, "perf_event_open", perf},
    {"keyctl", 16, "keyctl: keyrings are shared by all of a user", session_keyring},
    {"add-key", 16, "add_key", add_key},
    {"request-key", 16, "request_key", request_key},
    {"kcmp", 17, "kcmp", compare},
    {"pidfd-getfd", 17, "another process's descriptors", take_descriptor},
    {"process-vm-readv", 18, "another process's memory", read_own_memory},
    {"ptrace", 18, "ptrace of its own child", trace},
    {"memfd-secret", 17, "memory that the kernel cannot look at", secret_memory},
    {"fanotify", 17, "fanotify_init", watch_file_system},
    {"vmsplice", 17, "vmsplice", splice_memory},
    {"modify-ldt", 17, "modify_ldt", local_descriptor_table},
    {"open-by-handle", 17, "a file by its inode's number", handle_of_root},
    {"init-module", 17, "loading kernel modules", load_module},
    {"finit-module", 17, "the same from a file", load_module_file},
    {"delete-module", 17, "removing them", remove_module},
    {"kexec-load", 17, "another kernel", new_kernel},
    {"kexec-file-load", 17, "the same from a file", new_kernel_file},
    {"reboot", 17, "reboot", restart},
    {"swapon", 17, "swapon", swap_on},
    {"swapoff", 17, "swapoff", swap_off},
    {"acct", 17, "process accounting", accounting},
    {"iopl", 17, "all I/O ports", ports},
    {"ioperm", 17, "one I/O port", port},
    {"vhangup", 17, "hanging up the terminal", hang_up},
    {"quotactl", 17, "disk quotas", quota},
    {"syslog", 29, "the kernel's log", kernel_log},
    {"settimeofday", 41, "setting the clock", set_time},
    {"adjtimex", 41, "tuning the clock", adjust_time},
    {"sethostname", 0, "naming the host", name_host},
    {"setdomainname", 0, "naming its domain", name_domain},
    {"personality", 43, "executable data, predictable addresses", executable_data},
    {"set-mm", 1, "forging /proc/self/exe", forge_own_path},
    {"speculation-control", 42, "switching a mitigation off", allow_speculation},
    {"block-device", 23, "making a disk's device", make_disk},
    {"memory-device", 23, "making /dev/mem", make_memory_device},
    {"overlay-attribute", 46, "trusted.overlay attributes (GameOver(lay))", overlay_attribute},
    {"capability-attribute", 46, "a file with capabilities", capability_attribute},
    {"int-0x80", 14, "system calls of 32-bit programs", old_convention},
    {"x32", 14, "system calls of the x32 convention", x32_convention},
    {0},
};
