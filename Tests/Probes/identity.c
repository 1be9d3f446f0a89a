// Who the process is, what it may do, and what it was given at its start.
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct finding empty_set(const char *name) {
    const char *set = status_line("/proc/self/status", name);
    return found(strspn(set, "0") == strlen(set) ? SAFE : OPEN, "%s %s", name, set);
}

static struct finding effective(void) { return empty_set("CapEff"); }
static struct finding permitted(void) { return empty_set("CapPrm"); }
static struct finding inheritable(void) { return empty_set("CapInh"); }
static struct finding ambient(void) { return empty_set("CapAmb"); }
static struct finding bounding(void) { return empty_set("CapBnd"); }

static struct finding secure_bits(void) {
    // NOROOT, NO_SETUID_FIXUP and their locks: without them uid 0 would get capabilities back, if anything made one so.
    int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    return found((bits & 0xf) == 0xf ? SAFE : OPEN, "0x%x", bits);
}

static struct finding no_new_privileges(void) {
    return found(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? SAFE : OPEN, "%s",
        status_line("/proc/self/status", "NoNewPrivs"));
}

static void *wait_for_ever(void *unused) {
    pause();
    return unused;
}

static struct finding filter_on_every_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_ever, NULL);
    glob_t tasks;
    if (glob("/proc/self/task/*/status", 0, NULL, &tasks) != 0) return found(INFO, "/proc is not there");
    for (size_t i = 0; i < tasks.gl_pathc; i++) {
        const char *mode = status_line(tasks.gl_pathv[i], "Seccomp");
        if (strcmp(mode, "2") != 0) return found(OPEN, "Seccomp: %s in %s", mode, tasks.gl_pathv[i]);
    }
    return found(SAFE, "%zu threads", tasks.gl_pathc);
}

static struct finding mapped_away_from_host_root(void) {
    FILE *map = fopen("/proc/self/uid_map", "re");
    unsigned long inside, outside, count;
    while (map && fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3)
        if (outside == 0) return found(OPEN, "%lu here is 0 of the host", inside);
    return map ? found(SAFE, "0 of the host has no number here") : found(INFO, "/proc is not there");
}

static struct finding not_root_inside(void) {
    return found(geteuid() == 0 || getuid() == 0 ? OPEN : SAFE, "uid %d, gid %d", (int)getuid(), (int)getgid());
}

static struct finding become_root(void) {
    if (geteuid() == 0) return found(OPEN, "is 0 already");
    return must_fail(setuid(0));
}

static struct finding supplementary_groups(void) {
    gid_t groups[64];
    int count = getgroups(64, groups), others = 0;
    for (int i = 0; i < count; i++) others += groups[i] != getegid();
    return found(others > 0 ? OPEN : SAFE, "%d groups besides its own", others);
}

// Runs a program of the image that bears privileges, and tells what it got.
static int started_with(const char *program, int *user, char *capabilities) {
    char command[128];
    snprintf(command, sizeof command, "%s privileges 2>/dev/null", program);
    int ends[2];
    if (pipe(ends) != 0) return 0;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execl(program, program, "privileges", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *answer = fdopen(ends[0], "re");
    return answer && fscanf(answer, "%d %32s", user, capabilities) == 2;
}

static struct finding set_user_id_file(void) {
    int user;
    char capabilities[33];
    if (geteuid() == 0) return found(INFO, "is 0 already");
    if (!started_with(SET_USER_ID_COPY, &user, capabilities)) return found(INFO, "the image has no such program");
    return found(user == (int)geteuid() ? SAFE : OPEN, "started it as %d", user);
}

static struct finding file_capabilities(void) {
    int user;
    char capabilities[33];
    const char *own = status_line("/proc/self/status", "CapEff");
    if (strspn(own, "0") != strlen(own)) return found(INFO, "has capabilities already");
    if (!started_with(CAPABLE_COPY, &user, capabilities)) return found(SAFE, "it could not be started");
    return found(strspn(capabilities, "0") == strlen(capabilities) ? SAFE : OPEN, "got %s", capabilities);
}

static struct finding core_dumps(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    return found(limit.rlim_max == 0 ? SAFE : OPEN, "hard limit %ld", (long)limit.rlim_max);
}

static struct finding raise_limits(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max++;
    return must_fail(setrlimit(RLIMIT_NOFILE, &limit));
}

static struct finding real_time_priority(void) {
    struct sched_param parameter = {.sched_priority = 1};
    return must_fail(syscall(SYS_sched_setscheduler, 0, 1 /* SCHED_FIFO */, &parameter));
}

static struct finding raise_priority(void) {
    errno = 0;
    return must_fail(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1));
}

static struct finding inherited(void) {
    return inherited_descriptors[0] ? found(OPEN, "open:%s", inherited_descriptors) : found(SAFE, "none above 2");
}

static struct finding folder_among_descriptors(void) {
    struct stat status;
    for (int number = 0; number < 1024; number++)
        if (fstat(number, &status) == 0 && S_ISDIR(status.st_mode)) return found(OPEN, "%d is a folder", number);
    return found(SAFE, "none");
}

static struct finding working_folder(void) {
    char path[4096];
    if (syscall(SYS_getcwd, path, sizeof path) < 0) return found(OPEN, "%s", strerror(errno));
    return found(path[0] == '/' ? SAFE : OPEN, "%s", path);
}

static struct finding environment(void) {
    return getenv("PLANE_PROBE_CANARY") ? found(OPEN, "the starter's variable is here") : found(SAFE, "it is not here");
}

static struct finding pending_signals(void) {
    const char *ignored = status_line("/proc/self/status", "SigIgn");
    if (strspn(ignored, "0") != strlen(ignored)) return found(INFO, "SigIgn %s", ignored);
    const char *blocked = status_line("/proc/self/status", "SigBlk");
    return found(strspn(blocked, "0") == strlen(blocked) ? SAFE : INFO, "SigBlk %s", blocked);
}

static struct finding speculation(void) {
    const char *store = status_line("/proc/self/status", "Speculation_Store_Bypass");
    return found(INFO, "Speculation_Store_Bypass: %s", store);
}

const struct probe identity_probes[] = {
    {"effective-capabilities", 17, "capabilities of the process", effective},
    {"permitted-capabilities", 17, "capabilities that it can switch on", permitted},
    {"inheritable-capabilities", 22, "capabilities that an exec can keep", inheritable},
    {"ambient-capabilities", 22, "capabilities that every exec keeps", ambient},
    {"bounding-set", 22, "capabilities that an exec can get back", bounding},
    {"secure-bits", 22, "uid 0 gets nothing from being 0, for good", secure_bits},
    {"no-new-privileges", 22, "exec gives no privilege", no_new_privileges},
    {"filter-on-every-thread", 21, "a thread without the filter", filter_on_every_thread},
    {"host-root-mapped", 8, "uid 0 of the host inside", mapped_away_from_host_root},
    {"user-inside", 8, "runs as root of its namespaces", not_root_inside},
    {"become-root", 22, "setuid(0)", become_root},
    {"supplementary-groups", 45, "the starter's groups", supplementary_groups},
    {"set-user-id-file", 22, "a set-user-id program of the image", set_user_id_file},
    {"file-capabilities", 22, "a program of the image with capabilities", file_capabilities},
    {"core-dumps", 9, "memory written to files", core_dumps},
    {"raise-limits", 30, "resource limits above the hard ones", raise_limits},
    {"real-time-priority", 30, "starving the machine by SCHED_FIFO", real_time_priority},
    {"raise-priority", 30, "a nice value below its own", raise_priority},
    {"inherited-descriptors", 2, "descriptors of the starter (CVE-2024-21626)", inherited},
    {"folder-descriptors", 2, "a folder among its descriptors (CVE-2024-21626)", folder_among_descriptors},
    {"working-folder", 2, "a working folder outside its root (CVE-2024-21626)", working_folder},
    {"environment", 44, "the starter's environment", environment},
    {"signal-state", 0, "ignored or blocked signals of the starter", pending_signals},
    {"speculation", 42, "what the kernel says of speculation", speculation},
    {0},
};
