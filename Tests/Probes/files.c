// Files that change the host or tell of it: /proc, /sys, /dev, cgroups, and the flags of mounts. None is written to.
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct finding core_pattern(void) { return must_not_open("/proc/sys/kernel/core_pattern", O_WRONLY); }
static struct finding modprobe(void) { return must_not_open("/proc/sys/kernel/modprobe", O_WRONLY); }
static struct finding overcommit(void) { return must_not_open("/proc/sys/vm/overcommit_memory", O_WRONLY); }
static struct finding forwarding(void) { return must_not_open("/proc/sys/net/ipv4/ip_forward", O_WRONLY); }
static struct finding formats(void) { return must_not_open("/proc/sys/fs/binfmt_misc/register", O_WRONLY); }
static struct finding namespaces(void) { return must_not_open("/proc/sys/user/max_user_namespaces", O_WRONLY); }
static struct finding sysrq(void) { return must_not_open("/proc/sysrq-trigger", O_WRONLY); }
static struct finding uevent(void) { return must_not_open("/sys/kernel/uevent_helper", O_WRONLY); }
static struct finding oom_score(void) {
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    return file < 0 ? found(SAFE, "%s", strerror(errno)) : must_fail(write(file, "-999", 4));
}

static int counted, writable;
static char example[200];

static int note_writable(const char *path, const struct stat *status, int kind, struct FTW *unused) {
    (void)unused;
    if (++counted > 20000) return 1;
    if (kind != FTW_F || !S_ISREG(status->st_mode) || !(status->st_mode & 0222)) return 0;
    int file = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return 0;
    close(file);
    if (writable++ == 0) snprintf(example, sizeof example, "%s", path);
    return 0;
}

static struct finding nothing_writable(const char *folder) {
    if (nftw(folder, note_writable, 16, FTW_PHYS) < 0) return found(SAFE, "%s: %s", folder, strerror(errno));
    return writable ? found(OPEN, "%d files, %s first", writable, example) : found(SAFE, "none of %d", counted);
}

static struct finding settings(void) { return nothing_writable("/proc/sys"); }
static struct finding machine_files(void) { return nothing_writable("/sys"); }
static struct finding cgroup_files(void) { return nothing_writable("/sys/fs/cgroup"); }

static struct finding release_agent(void) {
    const char *const places[] = {
        "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/rdma/release_agent"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct finding finding = must_not_open(places[i], O_WRONLY);
        if (finding.verdict != SAFE) return finding;
    }
    return found(SAFE, "not there, or not writable");
}

static struct finding cgroup_path(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[1024];
    if (!file) return found(INFO, "%s", strerror(errno));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        const char *path = strrchr(line, ':');
        if (path && strcmp(path, ":/") != 0) return found(OPEN, "%.200s", line);
    }
    return found(SAFE, "all are /");
}

// Open where at least a byte can be read.
static struct finding tells_nothing(const char *path) {
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return found(SAFE, "%s", strerror(errno));
    char bytes[4096];
    ssize_t count = read(file, bytes, sizeof bytes);
    if (count < 0) return found(SAFE, "%s", strerror(errno));
    return count == 0 ? found(SAFE, "empty") : found(OPEN, "%s can be read", path);
}

// The same for a list of addresses, which the kernel shows as zeros to those who may not know them.
static struct finding tells_no_address(const char *path) {
    struct finding finding = tells_nothing(path);
    FILE *list = finding.verdict == OPEN ? fopen(path, "re") : NULL;
    unsigned long long address;
    char line[512];
    if (!list) return finding;
    while (fgets(line, sizeof line, list))
        if (sscanf(line, "%llx", &address) == 1 && address != 0) return found(OPEN, "%s tells addresses", path);
    return found(INFO, "can be read, with its addresses hidden");
}

#define READABLE(name, path) static struct finding name(void) { return tells_nothing(path); }
#define ADDRESSES(name, path) static struct finding name(void) { return tells_no_address(path); }
READABLE(kcore, "/proc/kcore")
READABLE(keys, "/proc/keys")
READABLE(key_users, "/proc/key-users")
READABLE(timers, "/proc/timer_list")
READABLE(scheduler, "/proc/sched_debug")
ADDRESSES(symbols, "/proc/kallsyms")
READABLE(messages, "/proc/kmsg")
READABLE(configuration, "/proc/config.gz")
READABLE(interrupts, "/proc/interrupts")
READABLE(soft_interrupts, "/proc/softirqs")
READABLE(slabs, "/proc/slabinfo")
READABLE(page_types, "/proc/pagetypeinfo")
READABLE(allocations, "/proc/vmallocinfo")
READABLE(modules, "/proc/modules")
READABLE(command_line, "/proc/cmdline")
ADDRESSES(memory_map, "/proc/iomem")
ADDRESSES(port_map, "/proc/ioports")
READABLE(page_counts, "/proc/kpagecount")
READABLE(page_flags, "/proc/kpageflags")
READABLE(notes, "/sys/kernel/notes")
READABLE(core_info, "/sys/kernel/vmcoreinfo")
READABLE(firmware, "/sys/class/dmi/id/product_name")
READABLE(power, "/sys/class/powercap/intel-rapl:0/energy_uj")

static struct finding general_facts(void) {
    const char *const paths[] = {"stat", "loadavg", "vmstat", "zoneinfo", "buddyinfo", "diskstats", "partitions",
        "schedstat", "devices", "misc", "swaps", "pressure/cpu"};
    char readable[200] = "";
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s", paths[i]);
        if (tells_nothing(path).verdict == OPEN) strcat(strcat(readable, " "), paths[i]);
    }
    return found(INFO, "readable in /proc:%s", readable);
}

static int harmless(const struct stat *status) {
    if (S_ISBLK(status->st_mode)) return 0;
    unsigned number = major(status->st_rdev), minor = minor(status->st_rdev);
    if (number == 1) return minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9;
    return (number == 5 && (minor == 0 || minor == 2)) || (number >= 136 && number <= 143);
}

static char nodes[200];

static int note_node(const char *path, const struct stat *status, int kind, struct FTW *unused) {
    (void)kind;
    (void)unused;
    if (!S_ISCHR(status->st_mode) && !S_ISBLK(status->st_mode)) return 0;
    if (!harmless(status) && strlen(nodes) + strlen(path) < sizeof nodes - 2) strcat(strcat(nodes, " "), path);
    return 0;
}

static struct finding device_list(void) {
    nftw("/dev", note_node, 16, FTW_PHYS);
    return nodes[0] ? found(OPEN, "others than the harmless ones:%s", nodes) : found(SAFE, "the harmless ones only");
}

static struct finding machine_devices(void) {
    const char *const paths[] = {"/dev/mem", "/dev/port", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun",
        "/dev/loop-control", "/dev/vsock", "/dev/vhost-net", "/dev/vhost-vsock", "/dev/sda", "/dev/vda", "/dev/ppp",
        "/dev/userfaultfd", "/dev/mapper/control", "/dev/hpet", "/dev/cpu/0/msr", "/dev/vfio/vfio", "/dev/uinput"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct finding finding = must_not_open(paths[i], O_RDONLY);
        if (finding.verdict != SAFE) return finding;
    }
    return found(SAFE, "none of %zu", sizeof paths / sizeof *paths);
}

static struct finding null_device(void) {
    struct stat status;
    if (lstat("/dev/null", &status) != 0) return found(INFO, "%s", strerror(errno));
    int right = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
    return found(right ? SAFE : OPEN, "mode %o, device %u:%u", (unsigned)status.st_mode, major(status.st_rdev),
        minor(status.st_rdev));
}

static struct finding console(void) {
    struct stat status;
    if (lstat("/dev/console", &status) != 0) return found(SAFE, "not there");
    int own = S_ISCHR(status.st_mode) && major(status.st_rdev) == 136;
    return found(own ? SAFE : OPEN, "device %u:%u", major(status.st_rdev), minor(status.st_rdev));
}

static struct finding image_device(void) {
    struct stat status;
    if (lstat(DEVICE_NODE, &status) != 0 || !S_ISCHR(status.st_mode)) return found(INFO, "the image has none");
    return must_not_open(DEVICE_NODE, O_RDONLY);
}

// Mounts on which a flag is missing, but for those whose files cannot bear what it stops.
static struct finding flag_everywhere(const char *flag, const char *except_type) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char line[4096], without[200] = "";
    if (!mounts) return found(INFO, "%s", strerror(errno));
    while (fgets(line, sizeof line, mounts)) {
        char point[512], flags[512], type[64] = "";
        if (sscanf(line, "%*s %*s %*s %*s %511s %511s", point, flags) != 2) continue;
        const char *rest = strstr(line, " - ");
        if (rest) sscanf(rest, " - %63s", type);
        struct stat status;
        int is_device = stat(point, &status) == 0 && !S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode);
        if (strstr(flags, flag) || is_device || (except_type && strstr(except_type, type)) ||
            (except_type && strcmp(point, "/dev") == 0))
            continue;
        if (strlen(without) + strlen(point) < sizeof without - 2) strcat(strcat(without, " "), point);
    }
    return without[0] ? found(OPEN, "%s lacks on%s", flag, without) : found(SAFE, "%s on all", flag);
}

static struct finding no_set_user_id(void) { return flag_everywhere("nosuid", NULL); }
static struct finding no_devices(void) { return flag_everywhere("nodev", "devpts"); }

static struct finding root_of_image(void) {
    // What is written to the image the next sandbox of it would see. Opened, never written.
    return must_not_open(LOCKED_FILE, O_WRONLY);
}

const struct probe file_probes[] = {
    {"core-pattern", 9, "a program that the host starts on a crash", core_pattern},
    {"modprobe-path", 9, "a program that the host starts for a module", modprobe},
    {"overcommit", 9, "a setting of the host", overcommit},
    {"ip-forward", 9, "a setting of its network", forwarding},
    {"binfmt-misc", 9, "interpreters of the host", formats},
    {"max-user-namespaces", 9, "the limit of user namespaces", namespaces},
    {"sysrq-trigger", 9, "commands to the kernel", sysrq},
    {"uevent-helper", 9, "a program that the host starts for a device", uevent},
    {"oom-score", 30, "others are killed first when memory runs out", oom_score},
    {"settings-writable", 9, "anything in /proc/sys", settings},
    {"sys-writable", 9, "anything in /sys", machine_files},
    {"cgroup-writable", 11, "anything in /sys/fs/cgroup", cgroup_files},
    {"release-agent", 10, "release_agent of cgroup v1 (CVE-2022-0492)", release_agent},
    {"cgroup-path", 11, "where its cgroup is on the host", cgroup_path},
    {"proc-kcore", 29, "the kernel's memory", kcore},
    {"proc-keys", 29, "keys of the host", keys},
    {"proc-key-users", 29, "who has keys", key_users},
    {"proc-timer-list", 29, "timers of all processes", timers},
    {"proc-sched-debug", 29, "processes of the host", scheduler},
    {"proc-kallsyms", 29, "the kernel's symbols", symbols},
    {"proc-kmsg", 29, "the kernel's log", messages},
    {"proc-config", 29, "how the kernel was built", configuration},
    {"proc-interrupts", 29, "interrupts, a side channel", interrupts},
    {"proc-softirqs", 29, "the same", soft_interrupts},
    {"proc-slabinfo", 29, "the kernel's heap", slabs},
    {"proc-pagetypeinfo", 29, "the kernel's pages", page_types},
    {"proc-vmallocinfo", 29, "the kernel's addresses", allocations},
    {"proc-modules", 29, "the kernel's modules", modules},
    {"proc-cmdline", 29, "the kernel's command line", command_line},
    {"proc-iomem", 29, "the machine's memory map", memory_map},
    {"proc-ioports", 29, "the machine's ports", port_map},
    {"proc-kpagecount", 29, "uses of each page", page_counts},
    {"proc-kpageflags", 29, "kinds of each page", page_flags},
    {"proc-others", 29, "load and counters of the machine", general_facts},
    {"sys-notes", 28, "the kernel's build id", notes},
    {"sys-vmcoreinfo", 28, "the kernel's layout", core_info},
    {"sys-dmi", 28, "the machine's make", firmware},
    {"sys-powercap", 28, "power, a side channel", power},
    {"device-list", 23, "devices in /dev besides the harmless ones", device_list},
    {"machine-devices", 23, "devices that reach the machine", machine_devices},
    {"null-device", 3, "a swapped /dev/null (CVE-2025-31133)", null_device},
    {"console-device", 4, "a swapped /dev/console (CVE-2025-52565)", console},
    {"image-device", 23, "a device node of the image", image_device},
    {"mounts-nosuid", 22, "a mount that honours set-user-id files", no_set_user_id},
    {"mounts-nodev", 23, "a mount on which device nodes work", no_devices},
    {"image-writable", 1, "a file of the image can be overwritten", root_of_image},
    {0},
};
