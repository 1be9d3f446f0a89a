// What the guest's kernel must do for a sandbox, one fact per subcommand; see selftest, which runs them.
// Each prints what it saw in one line and ends with 0 if that is what a sandbox needs, with 1 if not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Host uids 100000… appear as 0… inside.
enum { FIRST_UID = 100000, UIDS = 65536 };

enum { NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };

static _Noreturn void no(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static long need(long result, const char *what) {
    if (result < 0) no(what);
    return result;
}

// Never freed: the process is short.
static const char *path(const char *format, ...) {
    char *path;
    va_list arguments;
    va_start(arguments, format);
    need(vasprintf(&path, format, arguments), "vasprintf");
    va_end(arguments);
    return path;
}

static void write_file(const char *content, const char *name) {
    int file = need(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), name);
    need(write(file, content, strlen(content)), name);
    close(file);
}

static pid_t clone_into(uint64_t flags, int cgroup, int *pidfd) {
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD,
    };
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup;
    }
    return need(syscall(SYS_clone3, &arguments, sizeof arguments), "clone3");
}

static void map_ids(pid_t process) {
    char map[64];
    snprintf(map, sizeof map, "0 %d %d", FIRST_UID, UIDS);
    write_file(map, path("/proc/%d/uid_map", process));
    write_file(map, path("/proc/%d/gid_map", process));
}

static int ended(pid_t process) {
    int status;
    need(waitpid(process, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Room for the one descriptor that a message carries.
union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

static struct msghdr around(struct iovec *bytes, union control *control) {
    return (struct msghdr){
        .msg_iov = bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof *control,
    };
}

static void send_descriptor(int socket, int descriptor) {
    union control control = {0};
    struct iovec byte = {.iov_base = "m", .iov_len = 1};
    struct msghdr message = around(&byte, &control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    need(sendmsg(socket, &message, 0), "sendmsg");
}

static int receive_descriptor(int socket) {
    union control control = {0};
    char byte;
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = around(&bytes, &control);
    need(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), "recvmsg");
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    return descriptor;
}

// A descriptor of a user namespace with the mapping above; the process in it is gone when this returns.
static int mapped_user_namespace(void) {
    int pidfd;
    pid_t process = clone_into(CLONE_NEWUSER, -1, &pidfd);
    if (process == 0) for (;;) pause();
    map_ids(process);
    int namespace = need(open(path("/proc/%d/ns/user", process), O_RDONLY | O_CLOEXEC), "user namespace");
    kill(process, SIGKILL);
    ended(process);
    return namespace;
}

// eat MEBIBYTES: touches that much memory and stays alive for the kill to come.
static int eat(const char *mebibytes) {
    size_t size = strtoul(mebibytes, NULL, 10) << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) no("mmap");
    memset(memory, 1, size);
    printf("ate %zu MiB\n", size >> 20);
    return 1;
}

// forks: as many children as there may be, all alive at once.
static int forks(void) {
    int children = 0;
    for (; children < 500; children++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            close(1), close(2);    // or who reads our output would wait for them as well
            for (;;) pause();
        }
    }
    printf("%d children, then %s\n", children, strerror(errno));
    return children == 15 && errno == EAGAIN ? 0 : 1;
}

// busy: turns for 2 s of wall time; prints the share of one CPU it got.
static int busy(void) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    double elapsed;
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        elapsed = now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
    } while (elapsed < 2);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    double part = (now.tv_sec + now.tv_nsec / 1e9) / elapsed;
    printf("%.0f %% of one CPU\n", part * 100);
    return part < 0.4 ? 0 : 1;
}

// born CGROUP: a child in new namespaces that starts its life in that cgroup.
static int born(const char *cgroup) {
    int directory = need(open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC), cgroup), pidfd, start[2];
    need(pipe2(start, O_CLOEXEC), "pipe2");
    pid_t child = clone_into(NAMESPACES | CLONE_NEWCGROUP, directory, &pidfd);
    if (child == 0) {
        char byte;
        close(start[1]);
        read(start[0], &byte, 1);    // until the parent has written the maps and closed its end
        // 65534 until it takes a mapped one.
        _exit(getpid() == 1 && setresuid(0, 0, 0) == 0 && getuid() == 0 ? 0 : 1);
    }
    char line[256] = "";
    int file = need(open(path("/proc/%d/cgroup", child), O_RDONLY | O_CLOEXEC), "the child's cgroup");
    need(read(file, line, sizeof line - 1), "the child's cgroup");
    line[strcspn(line, "\n")] = 0;
    map_ids(child);
    close(start[1]);
    int status = ended(child);
    const char *name = strrchr(cgroup, '/');
    printf("born in %s, is pid 1 and uid 0 there: %s\n", line, status == 0 ? "yes" : "no");
    return status == 0 && strcmp(line + strlen(line) - strlen(name), name) == 0 ? 0 : 1;
}

// beneath: openat2 refuses to leave a folder.
static int beneath(void) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int usr = need(open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC), "/usr");
    need(syscall(SYS_openat2, usr, "bin", &how, sizeof how), "openat2 bin");
    long escape = syscall(SYS_openat2, usr, "../etc", &how, sizeof how);
    printf("openat2 stays beneath: %s\n", strerror(escape < 0 ? errno : 0));
    return escape < 0 && errno == EXDEV ? 0 : 1;
}

// A copy of the mount at `source`, not attached anywhere, in which host uid 0 appears as FIRST_UID.
static int idmapped(const char *source) {
    int tree = need(open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), "open_tree");
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        .userns_fd = mapped_user_namespace(),
    };
    need(mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes), "mount_setattr(MOUNT_ATTR_IDMAP)");
    return tree;
}

// idmap SOURCE: whether its file system can be mounted with other owners.
static int idmap(const char *source) {
    struct stat status;
    need(fstatat(idmapped(source), "", &status, AT_EMPTY_PATH), "fstatat");
    printf("idmapped, its owner appears as uid %u\n", status.st_uid);
    return status.st_uid >= FIRST_UID ? 0 : 1;
}

static void option(int context, const char *key, const char *value) {
    need(fsconfig(context, FSCONFIG_SET_STRING, key, value, 0), key);
}

static int mounted(int context, unsigned attributes, const char *what) {
    need(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), what);
    int mount = need(fsmount(context, FSMOUNT_CLOEXEC, attributes), "fsmount");
    close(context);
    return mount;
}

// In the child: attaches the overlay, makes it the root, and uses it as its root user.
static void live_in(int overlay, const char *target) {
    struct stat status;
    need(move_mount(overlay, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), "move_mount in the child");
    need(chdir(target), target);
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    need(umount2(".", MNT_DETACH), "umount2");
    need(stat("/file", &status), "/file");
    if (status.st_uid != 0) errno = EUCLEAN, no("/file does not belong to uid 0 inside");
    write_file("new", "/new");
    write_file("changed", "/file");    // the overlay copies it up first
    need(chown("/new", 1000, 1000), "chown /new");
    need(rename("/folder/inner", "/folder/other"), "rename");
    need(unlink("/folder/other"), "unlink");
}

// root SOURCE idmapped|plain|detached SCRATCH: a sandbox's root, made as the initial root and handed to a child
// that has namespaces of its own. SCRATCH is an empty folder for mounts. "detached" tries to do without attaching
// the idmapped mount that is the lower layer.
static int root(const char *source, const char *kind, const char *scratch) {
    const char *lower = path("%s/lower", scratch), *upper = path("%s/upper", scratch);
    const char *target = path("%s/root", scratch);
    const char *data = path("%s/data", upper), *work = path("%s/work", upper);
    need(unshare(CLONE_NEWNS), "unshare");
    need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
    mkdir(lower, 0755), mkdir(upper, 0755), mkdir(target, 0755);

    int memory = need(fsopen("tmpfs", FSOPEN_CLOEXEC), "fsopen tmpfs");
    option(memory, "size", "16m");
    option(memory, "mode", "0755");
    memory = mounted(memory, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "create tmpfs");
    need(move_mount(memory, "", AT_FDCWD, upper, MOVE_MOUNT_F_EMPTY_PATH), "move_mount tmpfs");
    need(mkdir(data, 0755), data), need(mkdir(work, 0755), work);
    need(chown(data, FIRST_UID, FIRST_UID), data);

    if (strcmp(kind, "plain") == 0) {
        lower = source;
    } else {
        int tree = idmapped(source);
        if (strcmp(kind, "detached") == 0) lower = path("/proc/self/fd/%d", tree);
        else need(move_mount(tree, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH), "move_mount lower");
    }

    int overlay = need(fsopen("overlay", FSOPEN_CLOEXEC), "fsopen overlay");
    option(overlay, "source", "overlay");
    option(overlay, "lowerdir", lower);
    option(overlay, "upperdir", data);
    option(overlay, "workdir", work);
    overlay = mounted(overlay, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "create overlay");
    if (strcmp(kind, "plain") == 0) {
        // The owners are wrong then; all there is to see is that the layers go together.
        need(openat(overlay, "file", O_RDWR | O_CLOEXEC), "copy up");
        printf("overlay with upper on tmpfs, and a copy up\n");
        return 0;
    }

    int channel[2], pidfd;
    need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), "socketpair");
    pid_t child = clone_into(NAMESPACES, -1, &pidfd);
    if (child == 0) {
        close(overlay);    // the one that comes by SCM_RIGHTS is what is tested
        int received = receive_descriptor(channel[1]);
        need(setresgid(0, 0, 0), "setresgid"), need(setresuid(0, 0, 0), "setresuid");
        live_in(received, target);
        exit(0);
    }
    map_ids(child);
    send_descriptor(channel[0], overlay);
    int status = ended(child);
    if (status != 0) return 1;

    struct stat new, file, original;
    need(stat(path("%s/new", data), &new), "new");
    need(stat(path("%s/file", data), &file), "file");
    need(stat(path("%s/file", source), &original), "the image's file");
    printf("handed to a child by SCM_RIGHTS; owners in the upper layer: new %u, copied up %u; in the image %u\n",
           new.st_uid, file.st_uid, original.st_uid);
    return new.st_uid == FIRST_UID + 1000 && file.st_uid == FIRST_UID && original.st_uid == 0 ? 0 : 1;
}

int main(int count, char **words) {
    const char *fact = count > 1 ? words[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(fact, "eat") == 0 && count == 3) return eat(words[2]);
    if (strcmp(fact, "forks") == 0) return forks();
    if (strcmp(fact, "busy") == 0) return busy();
    if (strcmp(fact, "born") == 0 && count == 3) return born(words[2]);
    if (strcmp(fact, "beneath") == 0) return beneath();
    if (strcmp(fact, "idmap") == 0 && count == 3) return idmap(words[2]);
    if (strcmp(fact, "root") == 0 && count == 5) return root(words[2], words[3], words[4]);
    fprintf(stderr, "kernel-facts: see the comments in kernel-facts.c for what it can be asked\n");
    return 2;
}
