// The host's side: what an image must contain for the probe, and what must not be reached while it runs.
#include "probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    return 120;
}

static int copy_of_itself(const char *root, const char *name, mode_t mode) {
    char path[4096];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", root, name);
    unlink(path);
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (from < 0 || to < 0 || fstat(from, &status) != 0) return -1;
    for (off_t left = status.st_size; left > 0;) {
        ssize_t count = sendfile(to, from, NULL, (size_t)left);
        if (count <= 0) return -1;
        left -= count;
    }
    return fchown(to, 0, 0) != 0 || fchmod(to, mode) != 0 ? -1 : to;
}

int prepare_image(const char *root) {
    char path[4096];
    // struct vfs_ns_cap_data, revision 3: CAP_NET_RAW, permitted and effective, for the root of any namespace's owner 0.
    const unsigned capabilities[6] = {0x03000001, 1u << 13, 0, 0, 0, 0};
    umask(022);
    if (copy_of_itself(root, "/probe", 0755) < 0) return fail("a copy of the probe");
    if (copy_of_itself(root, SET_USER_ID_COPY, 04755) < 0) return fail("a set-user-id copy");
    int capable = copy_of_itself(root, CAPABLE_COPY, 0755);
    if (capable < 0 || fsetxattr(capable, "security.capability", capabilities, 20, 0) != 0) {
        const unsigned older[5] = {0x02000001, 1u << 13, 0, 0, 0};
        if (capable < 0 || fsetxattr(capable, "security.capability", older, sizeof older, 0) != 0)
            return fail("a copy with capabilities");
    }
    snprintf(path, sizeof path, "%s%s", root, DEVICE_NODE);
    unlink(path);
    if (mknod(path, S_IFCHR | 0666, makedev(1, 5)) != 0 || chmod(path, 0666) != 0) return fail(path);
    snprintf(path, sizeof path, "%s%s", root, LOCKED_FILE);
    int locked = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (locked < 0) return fail(path);
    snprintf(path, sizeof path, "%s%s", root, CANARIES);
    int canaries = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return canaries < 0 ? fail(path) : 0;
}

static int listen_on_abstract_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0" CANARY_NAME};
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof CANARY_NAME);
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(made, (struct sockaddr *)&address, size) != 0 ? -1 : listen(made, 4);
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(made, (struct sockaddr *)&address, size) != 0 || listen(made, 4) != 0 ||
        getsockname(made, (struct sockaddr *)&address, &size) != 0)
        return -1;
    return ntohs(address.sin_port);
}

static const char *const temporary_files[] = {"/tmp/" CANARY_NAME, "/dev/shm/" CANARY_NAME};
#define SOCKET_FILE "/tmp/" CANARY_NAME ".socket"

static int make_socket_file(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_FILE};
    unlink(SOCKET_FILE);
    return bind(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&address, sizeof address);
}

static int memory_segment;

static void clear_away(void) {
    for (int i = 0; i < 2; i++) unlink(temporary_files[i]);
    unlink(SOCKET_FILE);
    mq_unlink("/" CANARY_NAME);
    if (memory_segment >= 0) shmctl(memory_segment, IPC_RMID, NULL);
}

static int write_facts(const char *facts, int port) {
    const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};
    struct utsname names;
    char path[4096], target[64];
    FILE *file = fopen(facts, "we");
    if (!file) return -1;
    uname(&names);
    fprintf(file, "port %d\nprocess %d\nname %s\n", port, (int)getpid(), names.nodename);
    if (realpath("/proc/self/exe", path)) fprintf(file, "file %s\n", path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length > 0) fprintf(file, "namespace-%s %.*s\n", kinds[i], (int)length, target);
    }
    return fclose(file);
}

// What a careless starter passes on: groups, a key, a variable, open folders, its terminal as standard input.
static void become_careless_starter(int terminal) {
    const gid_t groups[] = {4, 12};
    setsid();
    dup2(terminal, 0);    // first: its own number may be one of those below
    ioctl(0, TIOCSCTTY, 0);
    setgroups(2, groups);
    syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0);
    // Whoever possesses it, and any user: what protects it is only that the keyring is another.
    long key = syscall(SYS_add_key, "user", CANARY_NAME, "secret", 6L, -3 /* the session's */);
    syscall(SYS_keyctl, 5 /* KEYCTL_SETPERM */, key, 0x3f3f3f3fL);
    syscall(SYS_keyctl, 5, -3L, 0x3f3f3f3fL);
    setenv("PLANE_PROBE_CANARY", "secret", 1);
    int folder = open("/", O_RDONLY | O_DIRECTORY);
    dup2(folder, 9);
    dup2(folder, 200);
    if (folder > 2 && folder != 9) close(folder);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int run_between_canaries(const char *facts, char **command) {
    for (int i = 0; i < 2; i++) {
        int file = open(temporary_files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (file < 0) return fail(temporary_files[i]);
        close(file);
    }
    memory_segment = shmget(CANARY_KEY, 4096, IPC_CREAT | 0666);
    mqd_t queue = mq_open("/" CANARY_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0666, NULL);
    int port = listen_on_loopback();
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (listen_on_abstract_socket() != 0 || make_socket_file() != 0 || memory_segment < 0 || queue == (mqd_t)-1 || port < 0 || master < 0 ||
        grantpt(master) != 0 || unlockpt(master) != 0 || write_facts(facts, port) != 0) {
        clear_away();
        return fail("the canaries");
    }
    char locked[4096];
    snprintf(locked, sizeof locked, "%.*s%s", (int)(strlen(facts) - strlen(CANARIES)), facts, LOCKED_FILE);
    int lock = open(locked, O_RDONLY | O_CLOEXEC);
    if (lock >= 0) flock(lock, LOCK_EX);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);

    // The user of a terminal that is typed into would see it; here it is read back.
    struct termios settings;
    tcgetattr(terminal, &settings);
    cfmakeraw(&settings);
    tcsetattr(terminal, TCSANOW, &settings);
    pid_t child = fork();
    if (child == 0) {
        become_careless_starter(terminal);
        execvp(command[0], command);
        _exit(fail(command[0]));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    int typed = 0;
    ioctl(terminal, FIONREAD, &typed);
    printf("host-terminal %s %d bytes were typed into the starter's terminal\n", typed ? "OPEN" : "SAFE", typed);
    clear_away();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
