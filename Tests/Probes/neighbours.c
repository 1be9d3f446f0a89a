// What belongs to the host, to the init or to other sandboxes: canaries that `probe host` has put there.
#include "probe.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static struct finding abstract_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0" CANARY_NAME};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof CANARY_NAME);
    return must_fail(connect(made, (struct sockaddr *)&address, size));
}

static struct finding sockets_listed(void) {
    FILE *list = fopen("/proc/net/unix", "re");
    char line[512];
    int abstract = 0;
    if (!list) return found(SAFE, "%s", strerror(errno));
    while (fgets(line, sizeof line, list)) abstract += strchr(line, '@') != NULL;
    return found(abstract ? OPEN : SAFE, "%d abstract sockets", abstract);
}

static char socket_path[200];

static int note_socket(const char *path, const struct stat *status, int kind, struct FTW *unused) {
    (void)unused;
    (void)kind;
    if (!S_ISSOCK(status->st_mode)) return 0;
    snprintf(socket_path, sizeof socket_path, "%s", path);
    return 1;
}

static struct finding socket_files(void) {
    const char *const places[] = {"/run", "/var/run", "/tmp", "/home", "/var/lib"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) nftw(places[i], note_socket, 16, FTW_PHYS);
    return socket_path[0] ? found(OPEN, "%s", socket_path) : found(SAFE, "none");
}

static struct finding shared_memory(void) { return must_fail(shmget(CANARY_KEY, 0, 0)); }

static struct finding message_queue(void) { return must_fail(mq_open("/" CANARY_NAME, O_RDONLY)); }

static struct finding starters_key(void) {
    return must_fail(syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3 /* the session's */, "user", CANARY_NAME, 0));
}

static struct finding host_process(void) {
    const char *process = canary("process");
    if (!process) return found(INFO, "no process of the host is known");
    if (kill(atoi(process), 0) != 0 && errno == ESRCH) return found(SAFE, "%s", strerror(errno));
    return found(OPEN, "%s has an answer", process);
}

static struct finding host_name(void) {
    struct utsname names;
    uname(&names);
    const char *host = canary("name");
    if (!host) return found(INFO, "%s; the host's is not known", names.nodename);
    return found(strcmp(host, names.nodename) == 0 ? OPEN : SAFE, "%s", names.nodename);
}

static struct finding host_file(void) {
    const char *path = canary("file");
    if (!path) return found(INFO, "no file of the host is known");
    char ways[4][600];
    snprintf(ways[0], sizeof ways[0], "%s", path);
    snprintf(ways[1], sizeof ways[1], "/../../../..%s", path);
    snprintf(ways[2], sizeof ways[2], "/proc/1/root%s", path);
    snprintf(ways[3], sizeof ways[3], "/proc/self/cwd/../../../..%s", path);
    for (int i = 0; i < 4; i++)
        if (access(ways[i], F_OK) == 0) return found(OPEN, "%s is there", ways[i]);
    return found(SAFE, "%s", strerror(errno));
}

// The way out of a root that is only changed: another root below, and up from a folder that it does not hold.
static struct finding leave_root(void) {
    const char *path = canary("file");
    char folder[] = "/tmp/probe-XXXXXX", inside[600];
    if (!path) return found(INFO, "no file of the host is known");
    if (!mkdtemp(folder)) return found(INFO, "no folder in /tmp: %s", strerror(errno));
    long changed = chroot(folder);
    int refused = errno;
    rmdir(folder);
    if (changed != 0) return found(SAFE, "chroot: %s", strerror(refused));
    for (int i = 0; i < 64; i++)
        if (chdir("..") != 0) break;
    snprintf(inside, sizeof inside, ".%s", path);
    return access(inside, F_OK) == 0 ? found(OPEN, "%s is there", path) : found(SAFE, "%s", strerror(errno));
}

static struct finding host_temporary(void) {
    if (access("/tmp/" CANARY_NAME, F_OK) == 0) return found(OPEN, "/tmp is the host's");
    return access("/dev/shm/" CANARY_NAME, F_OK) == 0 ? found(OPEN, "/dev/shm is the host's")
                                                      : found(SAFE, "%s", strerror(errno));
}

static struct finding file_lock(void) {
    // The host, or a neighbour with the same image, holds a lock on this file: a channel if it is felt here.
    int file = open(LOCKED_FILE, O_RDONLY | O_CLOEXEC);
    if (file < 0) return found(INFO, "%s: %s", LOCKED_FILE, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) == 0) return found(SAFE, "the lock is its own");
    return found(OPEN, "%s", strerror(errno));
}

static struct finding others_visible(void) {
    DIR *proc = opendir("/proc");
    int mine = 0;
    if (!proc) return found(INFO, "%s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[300];
        struct stat status;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s", entry->d_name);
        if (stat(path, &status) != 0) continue;
        if (status.st_uid != geteuid()) return found(OPEN, "%s is of uid %d", path, (int)status.st_uid);
        mine++;
    }
    return found(SAFE, "%d, all of its own user", mine);
}

// The init, unless that is the command itself, whose own father it then may do everything to.
static int init_is_the_command(void) {
    char path[200] = "";
    if (getppid() == 1 && readlink("/proc/1/exe", path, sizeof path - 1) > 0) return strcmp(path, "/probe") == 0;
    return 0;
}

static struct finding init_memory(void) {
    if (init_is_the_command()) return found(SAFE, "pid 1 is the command");
    return must_not_open("/proc/1/mem", O_RDONLY);
}

static struct finding init_environment(void) {
    if (init_is_the_command()) return found(SAFE, "pid 1 is the command");
    return must_not_open("/proc/1/environ", O_RDONLY);
}

static struct finding init_program(void) {
    if (init_is_the_command()) return found(SAFE, "pid 1 is the command");
    int file = open("/proc/1/exe", O_RDONLY | O_CLOEXEC);
    return file < 0 ? found(SAFE, "%s", strerror(errno)) : found(OPEN, "can be opened, and overwritten once it ends");
}

static struct finding init_descriptors(void) {
    if (init_is_the_command()) return found(SAFE, "pid 1 is the command");
    DIR *list = opendir("/proc/1/fd");
    return list ? found(OPEN, "can be listed") : found(SAFE, "%s", strerror(errno));
}

static struct finding init_signal(void) {
    if (init_is_the_command()) return found(SAFE, "pid 1 is the command");
    return must_fail(kill(1, 0));
}

static struct finding starters_terminal(void) { return must_not_open("/dev/tty", O_RDWR); }

static struct finding type_into_input(void) {
    if (!isatty(0)) return found(INFO, "its input is no terminal");
    return must_fail(ioctl(0, TIOCSTI, "#"));
}

// Makes a terminal of its own the controlling one, and returns it.
static int own_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return -1;
    setsid();
    int slave = open(ptsname(master), O_RDWR | O_CLOEXEC);
    if (slave >= 0) ioctl(slave, TIOCSCTTY, 0);
    return slave;
}

static struct finding type_into_own(void) {
    int terminal = own_terminal();
    if (terminal < 0) return found(INFO, "no terminal: %s", strerror(errno));
    return must_fail(ioctl(terminal, TIOCSTI, "#"));
}

static struct finding type_with_high_bits(void) {
    int terminal = own_terminal();
    if (terminal < 0) return found(INFO, "no terminal: %s", strerror(errno));
    return must_fail(syscall(SYS_ioctl, terminal, TIOCSTI | 1L << 32, "#"));
}

static struct finding console_call(void) {
    int terminal = own_terminal();
    if (terminal < 0) return found(INFO, "no terminal: %s", strerror(errno));
    char what[2] = {6 /* shift state: looks only */, 0};
    long result = ioctl(terminal, TIOCLINUX, what);
    return result < 0 && errno == ENOTTY ? found(INFO, "reached; only its own terminal is no console")
                                         : must_fail(result);
}

static struct finding line_discipline(void) {
    int terminal = own_terminal(), plain = 0;
    if (terminal < 0) return found(INFO, "no terminal: %s", strerror(errno));
    return must_fail(ioctl(terminal, TIOCSETD, &plain));
}

const struct probe neighbour_probes[] = {
    {"abstract-socket", 24, "an abstract Unix socket of the host", abstract_socket},
    {"abstract-sockets-listed", 24, "abstract sockets in /proc/net/unix", sockets_listed},
    {"socket-files", 25, "Unix sockets in its file system", socket_files},
    {"system-v-memory", 40, "System V shared memory of the host", shared_memory},
    {"posix-queue", 40, "a POSIX message queue of the host", message_queue},
    {"starters-key", 16, "a key in the starter's session keyring", starters_key},
    {"host-process", 18, "a process of the host", host_process},
    {"host-name", 0, "the host's name", host_name},
    {"host-file", 35, "a file of the host, by four ways", host_file},
    {"leave-root", 35, "chroot, and up from there", leave_root},
    {"host-temporary", 39, "/tmp or /dev/shm of the host", host_temporary},
    {"file-lock", 38, "a lock that another holds on a file of the image", file_lock},
    {"others-visible", 18, "processes of another user in /proc", others_visible},
    {"init-memory", 18, "the init's memory", init_memory},
    {"init-environment", 29, "the init's environment", init_environment},
    {"init-program", 1, "the init's program (CVE-2019-5736)", init_program},
    {"init-descriptors", 2, "the init's descriptors", init_descriptors},
    {"init-signal", 18, "signals to the init", init_signal},
    {"starters-terminal", 19, "the starter's terminal as its own", starters_terminal},
    {"type-into-input", 19, "typing into the starter's terminal (CVE-2017-5226)", type_into_input},
    {"type-into-own", 19, "TIOCSTI on a terminal of its own", type_into_own},
    {"type-with-high-bits", 19, "the same with bits above the 32nd (CVE-2019-10063)", type_with_high_bits},
    {"tioclinux", 19, "TIOCLINUX", console_call},
    {"line-discipline", 19, "another line discipline on its terminal", line_discipline},
    {0},
};
