// Ways to new or other namespaces and mounts, and whether those at hand are the host's.
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static struct finding unshare_user(void) { return must_fail(unshare(CLONE_NEWUSER)); }
static struct finding unshare_mount(void) { return must_fail(unshare(CLONE_NEWNS)); }
static struct finding unshare_pid(void) { return must_fail(unshare(CLONE_NEWPID)); }
static struct finding unshare_network(void) { return must_fail(unshare(CLONE_NEWNET)); }
static struct finding unshare_ipc(void) { return must_fail(unshare(CLONE_NEWIPC)); }
static struct finding unshare_uts(void) { return must_fail(unshare(CLONE_NEWUTS)); }
static struct finding unshare_cgroup(void) { return must_fail(unshare(CLONE_NEWCGROUP)); }
static struct finding unshare_time(void) { return must_fail(unshare(CLONE_NEWTIME)); }

static struct finding clone_user(void) {
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return must_fail(child);
}

// The kernel's struct clone_args, first version.
struct clone_call { unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; };

static struct finding clone3_user(void) {
    struct clone_call call = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &call, sizeof call);
    if (child == 0) _exit(0);
    return must_fail(child);
}

static struct finding clone3_unknown(void) {
    // Its flags lie in memory, where no filter sees them; and C libraries go on without it only after ENOSYS.
    long result = syscall(SYS_clone3, NULL, 0);
    return found(result < 0 && errno == ENOSYS ? SAFE : OPEN, "%s", strerror(errno));
}

static struct finding unknown_call(void) {
    long result = syscall(9999);
    return found(result < 0 && errno == ENOSYS ? SAFE : OPEN, "%s", strerror(errno));
}

static void *nothing(void *given) { return given; }

static struct finding threads_work(void) {
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, nothing, NULL);
    return failed ? found(OPEN, "%s", strerror(failed)) : found(SAFE, "they do");
}

static struct finding enter_namespace(void) {
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return must_be_refused(setns(own, 0));
}

// An unknown type is found out only after the check of privilege.
static struct finding mount_any(void) { return must_be_refused(mount("none", "/", "no-such-type", 0, "")); }

static struct finding unmount_any(void) {
    char folder[] = "/tmp/probe-XXXXXX";
    if (!mkdtemp(folder)) return found(INFO, "no folder in /tmp: %s", strerror(errno));
    struct finding finding = must_be_refused(umount2(folder, 0));
    rmdir(folder);
    return finding;
}

static struct finding new_file_system(void) { return must_fail(syscall(SYS_fsopen, "tmpfs", 1)); }
static struct finding copy_mount(void) { return must_fail(syscall(SYS_open_tree, AT_FDCWD, "/", 1)); }

static struct finding move_mount_any(void) {
    return must_be_refused(syscall(SYS_move_mount, AT_FDCWD, "/no/such", AT_FDCWD, "/no/such", 0));
}

static struct finding change_mount(void) {
    struct { unsigned long long set, clear, propagation, user_namespace; } nothing_set = {.set = 1};
    return must_be_refused(syscall(SYS_mount_setattr, AT_FDCWD, "/no/such", 0, &nothing_set, sizeof nothing_set));
}

static struct finding pivot(void) { return must_be_refused(syscall(SYS_pivot_root, "/no/such", "/no/such")); }
static struct finding change_root(void) { return must_fail(chroot("/")); }

static struct finding mount_cgroup_v1(void) {
    // Of a hierarchy that does not exist: found out after the check of privilege (CVE-2022-0492).
    return must_be_refused(mount("none", "/tmp", "cgroup", 0, "none,name=no such"));
}

static struct finding differs(const char *kind) {
    char path[64], own[64] = "", name[32];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    if (readlink(path, own, sizeof own - 1) < 0) return found(INFO, "%s: %s", path, strerror(errno));
    snprintf(name, sizeof name, "namespace-%s", kind);
    const char *host = canary(name);
    if (!host) return found(INFO, "%s; the host's is not known", own);
    return strcmp(own, host) == 0 ? found(OPEN, "the host's, %s", own) : found(SAFE, "%s, the host's is %s", own, host);
}

static struct finding own_user(void) { return differs("user"); }
static struct finding own_mount(void) { return differs("mnt"); }
static struct finding own_pid(void) { return differs("pid"); }
static struct finding own_network(void) { return differs("net"); }
static struct finding own_ipc(void) { return differs("ipc"); }
static struct finding own_uts(void) { return differs("uts"); }
static struct finding own_cgroup(void) { return differs("cgroup"); }
static struct finding own_time(void) { return differs("time"); }

const struct probe namespace_probes[] = {
    {"user-namespace", 8, "shares the host's users", own_user},
    {"mount-namespace", 35, "shares the host's mounts", own_mount},
    {"pid-namespace", 18, "shares the host's processes", own_pid},
    {"network-namespace", 24, "shares the host's network", own_network},
    {"ipc-namespace", 40, "shares the host's System V IPC", own_ipc},
    {"uts-namespace", 0, "shares the host's name", own_uts},
    {"cgroup-namespace", 11, "sees the host's cgroups", own_cgroup},
    {"time-namespace", 41, "shares the host's boot clock", own_time},
    {"new-user-namespace", 12, "unshare(NEWUSER): kernel code behind capabilities (CVE-2022-0185)", unshare_user},
    {"clone-user-namespace", 12, "clone(NEWUSER)", clone_user},
    {"clone3-user-namespace", 12, "clone3(NEWUSER)", clone3_user},
    {"new-mount-namespace", 12, "unshare(NEWNS)", unshare_mount},
    {"new-pid-namespace", 12, "unshare(NEWPID)", unshare_pid},
    {"new-network-namespace", 12, "unshare(NEWNET)", unshare_network},
    {"new-ipc-namespace", 12, "unshare(NEWIPC)", unshare_ipc},
    {"new-uts-namespace", 12, "unshare(NEWUTS)", unshare_uts},
    {"new-cgroup-namespace", 12, "unshare(NEWCGROUP)", unshare_cgroup},
    {"new-time-namespace", 12, "unshare(NEWTIME)", unshare_time},
    {"clone3-is-unknown", 20, "clone3 answers ENOSYS", clone3_unknown},
    {"unknown-call", 20, "unknown system calls answer ENOSYS", unknown_call},
    {"threads-work", 20, "threads can be started", threads_work},
    {"enter-namespace", 17, "setns", enter_namespace},
    {"mount", 10, "mount", mount_any},
    {"unmount", 10, "umount2", unmount_any},
    {"fsopen", 10, "fsopen (CVE-2022-0185)", new_file_system},
    {"open-tree", 10, "open_tree with a copy", copy_mount},
    {"move-mount", 10, "move_mount", move_mount_any},
    {"mount-setattr", 10, "mount_setattr", change_mount},
    {"pivot-root", 10, "pivot_root", pivot},
    {"chroot", 10, "chroot", change_root},
    {"mount-cgroup-v1", 10, "mounting cgroup v1 for its release_agent (CVE-2022-0492)", mount_cgroup_v1},
    {0},
};
