// System calls that Swift's Glibc module does not offer, each a thin inline wrapper that returns the result or -errno,
// so that no other call can overwrite errno in between. Constants live in Swift, with their documentation.
// No feature macro is defined here: _GNU_SOURCE in an imported header clashes with the Glibc module in debug builds.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PLANE_RESULT(expression)             \
    long result = (long)(expression);        \
    return result < 0 ? -(long)errno : result

// Processes.
static inline long plane_clone3(struct clone_args *args) { PLANE_RESULT(syscall(SYS_clone3, args, sizeof *args)); }
static inline long plane_pidfd_open(int pid) { PLANE_RESULT(syscall(SYS_pidfd_open, pid, 0)); }
static inline long plane_pidfd_send_signal(int fd, int sig) {
    PLANE_RESULT(syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0));
}
static inline long plane_execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags) {
    PLANE_RESULT(syscall(SYS_execveat, fd, path, argv, envp, flags));
}
// exit_group without atexit handlers: a cloned child must not run its parent's.
static inline void __attribute__((noreturn)) plane_exit(int status) {
    for (;;) syscall(SYS_exit_group, status);
}
// waitid(2): siginfo_t is a union that Swift cannot read. Returns the pid, 0 when nothing has changed yet, or -errno.
static inline long plane_waitid(int idtype, int id, int options, int *code, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (syscall(SYS_waitid, idtype, id, &info, options, NULL) < 0) return -(long)errno;
    *code = info.si_code;
    *status = info.si_status;
    return info.si_pid;
}
static inline long plane_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    PLANE_RESULT(syscall(SYS_prctl, option, a, b, c, d));
}
static inline long plane_setns(int fd, int kind) { PLANE_RESULT(syscall(SYS_setns, fd, kind)); }
static inline long plane_unshare(unsigned long flags) { PLANE_RESULT(syscall(SYS_unshare, flags)); }
// The raw calls: they change the calling thread only, which is what a single-threaded process wants.
static inline long plane_setresuid(unsigned u) { PLANE_RESULT(syscall(SYS_setresuid, u, u, u)); }
static inline long plane_setresgid(unsigned g) { PLANE_RESULT(syscall(SYS_setresgid, g, g, g)); }
static inline long plane_setgroups(size_t n, const unsigned *list) { PLANE_RESULT(syscall(SYS_setgroups, n, list)); }
static inline long plane_seccomp(unsigned op, unsigned flags, void *args) {
    PLANE_RESULT(syscall(SYS_seccomp, op, flags, args));
}
static inline long plane_keyctl_join_session(void) { PLANE_RESULT(syscall(SYS_keyctl, 1, NULL, 0, 0, 0)); }
static inline long plane_close_range(unsigned first, unsigned last, unsigned flags) {
    PLANE_RESULT(syscall(SYS_close_range, first, last, flags));
}
static inline long plane_memfd_create(const char *name, unsigned flags) {
    PLANE_RESULT(syscall(SYS_memfd_create, name, flags));
}
static inline long plane_getrandom(void *buffer, size_t count) { PLANE_RESULT(syscall(SYS_getrandom, buffer, count, 0)); }
static inline long plane_prlimit(int resource, uint64_t soft, uint64_t hard) {
    uint64_t limit[2] = {soft, hard};
    PLANE_RESULT(syscall(SYS_prlimit64, 0, resource, limit, NULL));
}

// Landlock.
static inline long plane_landlock_abi(void) {
    PLANE_RESULT(syscall(SYS_landlock_create_ruleset, NULL, 0, 1));  // LANDLOCK_CREATE_RULESET_VERSION
}
struct plane_landlock_ruleset {
    uint64_t handled_files, handled_ports, scoped;
};
static inline long plane_landlock_create(const struct plane_landlock_ruleset *ruleset, size_t size) {
    PLANE_RESULT(syscall(SYS_landlock_create_ruleset, ruleset, size, 0));
}
static inline long plane_landlock_add_path(int ruleset, uint64_t access, int parent) {
    struct {
        uint64_t access;
        int32_t parent;
    } __attribute__((packed)) rule = {access, parent};
    PLANE_RESULT(syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0));
}
static inline long plane_landlock_add_port(int ruleset, uint64_t access, uint64_t port) {
    struct {
        uint64_t access, port;
    } rule = {access, port};
    PLANE_RESULT(syscall(SYS_landlock_add_rule, ruleset, 2, &rule, 0));
}
static inline long plane_landlock_restrict(int ruleset) {
    PLANE_RESULT(syscall(SYS_landlock_restrict_self, ruleset, 0));
}

// Files and mounts.
static inline long plane_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = flags;
    how.mode = mode;
    how.resolve = resolve;
    PLANE_RESULT(syscall(SYS_openat2, dir, path, &how, sizeof how));
}
static inline long plane_open_tree(int dir, const char *path, unsigned flags) {
    PLANE_RESULT(syscall(SYS_open_tree, dir, path, flags));
}
static inline long plane_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
    PLANE_RESULT(syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}
static inline long plane_fsopen(const char *type, unsigned flags) { PLANE_RESULT(syscall(SYS_fsopen, type, flags)); }
static inline long plane_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux) {
    PLANE_RESULT(syscall(SYS_fsconfig, fd, command, key, value, aux));
}
static inline long plane_fsmount(int fd, unsigned flags, unsigned attributes) {
    PLANE_RESULT(syscall(SYS_fsmount, fd, flags, attributes));
}
struct plane_mount_attr {
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};
static inline long plane_mount_setattr(int dir, const char *path, unsigned flags, struct plane_mount_attr *attr) {
    PLANE_RESULT(syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr));
}
// Extended attributes of what a path names itself, without following a last link. Names are separated by zeros.
static inline long plane_llistxattr(const char *path, char *names, size_t size) {
    PLANE_RESULT(llistxattr(path, names, size));
}
static inline long plane_lremovexattr(const char *path, const char *name) { PLANE_RESULT(lremovexattr(path, name)); }
// fcntl(2) F_OFD_SETLK: an exclusive lock of a byte range, held by the open file and not by the process.
static inline long plane_lock_range(int fd, uint64_t start, uint64_t count) {
    struct {
        short type, whence;
        int64_t start, count;
        int32_t pid;
    } lock = {1, 0, (int64_t)start, (int64_t)count, 0};  // F_WRLCK, SEEK_SET
    PLANE_RESULT(fcntl(fd, 37, &lock));  // F_OFD_SETLK
}
static inline long plane_umount2(const char *path, int flags) { PLANE_RESULT(syscall(SYS_umount2, path, flags)); }
static inline long plane_pivot_root(const char *new_root, const char *put_old) {
    PLANE_RESULT(syscall(SYS_pivot_root, new_root, put_old));
}
static inline long plane_mknodat(int dir, const char *path, unsigned mode, unsigned major, unsigned minor) {
    // makedev(3) for numbers that fit the old encoding, which every node of a sandbox does.
    PLANE_RESULT(syscall(SYS_mknodat, dir, path, mode, (major << 8) | minor));
}

// Events.
static inline long plane_epoll_create(void) { PLANE_RESULT(epoll_create1(EPOLL_CLOEXEC)); }
static inline long plane_epoll_ctl(int epoll, int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    PLANE_RESULT(epoll_ctl(epoll, op, fd, &event));
}
static inline long plane_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms) {
    PLANE_RESULT(epoll_wait(epoll, events, count, timeout_ms));
}
static inline uint64_t plane_epoll_data(const struct epoll_event *event) { return event->data.u64; }
static inline long plane_eventfd(void) { PLANE_RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
static inline long plane_timerfd_boottime(void) {
    PLANE_RESULT(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
}
// Absolute CLOCK_BOOTTIME time in nanoseconds; 0 disarms.
static inline long plane_timerfd_set(int fd, uint64_t nanoseconds) {
    struct itimerspec spec;
    memset(&spec, 0, sizeof spec);
    spec.it_value.tv_sec = (time_t)(nanoseconds / 1000000000u);
    spec.it_value.tv_nsec = (long)(nanoseconds % 1000000000u);
    PLANE_RESULT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
}
static inline long plane_signalfd(uint64_t mask) {
    // The kernel's own sigset: bit n-1 is signal n. glibc's sigset_t starts with the same 64 bits.
    PLANE_RESULT(syscall(SYS_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC | SFD_NONBLOCK));
}
static inline long plane_sigmask(int how, uint64_t mask) {
    PLANE_RESULT(syscall(SYS_rt_sigprocmask, how, &mask, NULL, sizeof mask));
}
static inline long plane_signal_ignore(int sig) { return signal(sig, SIG_IGN) == SIG_ERR ? -(long)errno : 0; }
// The raw call: the C library refuses signals 32 and 33, which a starter may have left ignored. All zero is SIG_DFL.
static inline long plane_signal_default(int sig) {
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;
    memset(&action, 0, sizeof action);
    PLANE_RESULT(syscall(SYS_rt_sigaction, sig, &action, NULL, sizeof action.mask));
}

// 1 when the signal is ignored, 0 when not, or -errno.
static inline long plane_signal_is_ignored(int sig) {
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;
    memset(&action, 0, sizeof action);
    if (syscall(SYS_rt_sigaction, sig, NULL, &action, sizeof action.mask) < 0) return -(long)errno;
    return action.handler == (void *)1;  // SIG_IGN
}

// Pipes and sockets.
static inline long plane_pipe2(int fds[2], int flags) { PLANE_RESULT(syscall(SYS_pipe2, fds, flags)); }
static inline long plane_splice(int from, int to, size_t count, unsigned flags) {
    PLANE_RESULT(syscall(SYS_splice, from, NULL, to, NULL, count, flags));
}
static inline long plane_accept(int fd, struct sockaddr_storage *address) {
    socklen_t length = sizeof *address;
    PLANE_RESULT(syscall(SYS_accept4, fd, address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
}
static inline long plane_fcntl(int fd, int command, long argument) { PLANE_RESULT(fcntl(fd, command, argument)); }
static inline long plane_bind_in4(int fd, uint32_t address, uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(address)}};
    PLANE_RESULT(bind(fd, (const struct sockaddr *)&a, sizeof a));
}
static inline long plane_connect_in4(int fd, uint32_t address, uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(address)}};
    PLANE_RESULT(connect(fd, (const struct sockaddr *)&a, sizeof a));
}
static inline long plane_local_port(int fd) {
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &length) < 0) return -(long)errno;
    return ntohs(a.sin_port);
}
static inline long plane_unix_address(struct sockaddr_un *a, const char *path) {
    size_t length = strlen(path);
    if (length >= sizeof a->sun_path) return -(long)ENAMETOOLONG;
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, length);
    return 0;
}
static inline long plane_bind_unix(int fd, const char *path) {
    struct sockaddr_un a;
    long failed = plane_unix_address(&a, path);
    if (failed) return failed;
    PLANE_RESULT(bind(fd, (const struct sockaddr *)&a, sizeof a));
}
static inline long plane_connect_unix(int fd, const char *path) {
    struct sockaddr_un a;
    long failed = plane_unix_address(&a, path);
    if (failed) return failed;
    PLANE_RESULT(connect(fd, (const struct sockaddr *)&a, sizeof a));
}
struct plane_peer {
    int32_t pid;
    uint32_t uid, gid;
};
static inline long plane_peer_credentials(int fd, struct plane_peer *peer) {
    socklen_t length = sizeof *peer;
    PLANE_RESULT(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length));
}
static inline long plane_setsockopt_int(int fd, int level, int option, int value) {
    PLANE_RESULT(setsockopt(fd, level, option, &value, sizeof value));
}
static inline long plane_getsockopt_int(int fd, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, level, option, &value, &length) < 0) return -(long)errno;
    return value;
}
// SO_LINGER with zero time: close sends a reset, which passes a peer's reset on.
static inline long plane_set_linger_zero(int fd) {
    struct linger l = {1, 0};
    PLANE_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

// How long the next packet is, left where it is. recv(2), MSG_PEEK with MSG_TRUNC.
static inline long plane_next_packet_length(int fd) { PLANE_RESULT(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC)); }

// One packet with up to 16 descriptors (SCM_RIGHTS, unix(7)).
#define PLANE_DESCRIPTORS_MAX 16
static inline long plane_send_packet(int fd, const void *bytes, size_t count, const int *fds, int fd_count) {
    struct iovec part = {(void *)bytes, count};
    union {
        char space[CMSG_SPACE(sizeof(int) * PLANE_DESCRIPTORS_MAX)];
        struct cmsghdr align;
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd_count > PLANE_DESCRIPTORS_MAX) return -(long)EINVAL;
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)fd_count);
    }
    PLANE_RESULT(sendmsg(fd, &message, MSG_NOSIGNAL));
}
// Returns the packet's length. A packet or a descriptor list that does not fit is -EMSGSIZE, its descriptors closed.
static inline long plane_receive_packet(int fd, void *bytes, size_t capacity, int *fds, int *fd_count) {
    struct iovec part = {bytes, capacity};
    union {
        char space[CMSG_SPACE(sizeof(int) * PLANE_DESCRIPTORS_MAX)];
        struct cmsghdr align;
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    *fd_count = 0;
    ssize_t count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return -(long)errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int n = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(header), sizeof(int) * (size_t)n);
        *fd_count = n;
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (int i = 0; i < *fd_count; i++) close(fds[i]);
        *fd_count = 0;
        return -(long)EMSGSIZE;
    }
    return (long)count;
}
// netdevice(7): sets IFF_UP on an interface of the socket's network namespace.
static inline long plane_interface_up(int fd, const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) return -(long)errno;
    request.ifr_flags |= IFF_UP;
    PLANE_RESULT(ioctl(fd, SIOCSIFFLAGS, &request));
}
// Pseudo-terminals: ioctl_tty(2), TIOCSPTLCK, TIOCGPTPEER (Linux 4.13), TIOCSCTTY, TIOCSWINSZ, TIOCGWINSZ.
static inline long plane_terminal_unlock(int master) {
    int locked = 0;
    PLANE_RESULT(ioctl(master, TIOCSPTLCK, &locked));
}
static inline long plane_terminal_peer(int master) { PLANE_RESULT(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)); }
static inline long plane_terminal_control(int terminal) { PLANE_RESULT(ioctl(terminal, TIOCSCTTY, 0)); }
static inline long plane_terminal_set_size(int terminal, unsigned short rows, unsigned short columns) {
    struct winsize size = {rows, columns, 0, 0};
    PLANE_RESULT(ioctl(terminal, TIOCSWINSZ, &size));
}
static inline long plane_terminal_size(int terminal, unsigned short *rows, unsigned short *columns) {
    struct winsize size;
    if (ioctl(terminal, TIOCGWINSZ, &size) < 0) return -(long)errno;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}
static inline uint64_t plane_clock_ns(int clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
