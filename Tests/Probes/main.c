// A program that tries, from within a sandbox, what must not work there. It changes nothing: whatever would, it asks
// for in a form that the kernel refuses after having checked the privilege.
//
//   probe                        runs every probe and prints "NAME SAFE|OPEN|INFO detail" for each
//   probe NAME…                  only these
//   probe list                   prints "ROW NAME threat" for each
//   probe prepare ROOT           puts the probe and what it needs into a root file system
//   probe flip FOLDER TARGET     swaps FOLDER/spot between a folder and a link to TARGET until it is ended
//   probe host FACTS COMMAND…    runs a command while there is on the host what must not be reached from a sandbox,
//                                and writes to the file FACTS, which the sandbox must have at /probe-canaries, what
//                                it is called (elsewhere, the variable PLANE_PROBE_FACTS names the file)
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char inherited_descriptors[240];

struct finding found(enum verdict verdict, const char *format, ...) {
    struct finding finding = {verdict, ""};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding.detail, sizeof finding.detail, format, arguments);
    va_end(arguments);
    return finding;
}

struct finding must_fail(long result) {
    return result < 0 ? found(SAFE, "%s", strerror(errno)) : found(OPEN, "the kernel did it");
}

struct finding must_be_refused(long result) {
    if (result >= 0) return found(OPEN, "the kernel did it");
    if (errno == EPERM || errno == ENOSYS || errno == EACCES) return found(SAFE, "%s", strerror(errno));
    return found(OPEN, "permitted; only its argument was wrong (%s)", strerror(errno));
}

struct finding must_not_open(const char *path, int flags) {
    int file = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) return found(SAFE, "%s: %s", path, strerror(errno));
    return found(OPEN, "%s can be opened", path);
}

static const char *line_after(const char *file, const char *name, char separator, char *value, size_t size) {
    FILE *lines = fopen(file, "re");
    char line[4096];
    const char *result = NULL;
    while (lines && !result && fgets(line, sizeof line, lines)) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) != 0 || line[length] != separator) continue;
        char *begin = line + length + 1;
        while (*begin == ' ' || *begin == '\t') begin++;
        begin[strcspn(begin, "\n")] = 0;
        snprintf(value, size, "%s", begin);
        result = value;
    }
    if (lines) fclose(lines);
    return result;
}

const char *canary(const char *name) {
    static char value[512];
    const char *elsewhere = getenv("PLANE_PROBE_FACTS");
    return line_after(elsewhere ? elsewhere : CANARIES, name, ' ', value, sizeof value);
}

const char *status_line(const char *file, const char *name) {
    static char value[512];
    const char *result = line_after(file, name, ':', value, sizeof value);
    return result ? result : "";
}

static const struct probe *const lists[] = {
    identity_probes, namespace_probes, call_probes, socket_probes, file_probes, neighbour_probes};

// Each in a process of its own, since a filter may kill it, and since what one changes the next must not see.
static struct finding run_apart(const struct probe *probe) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return found(INFO, "pipe2: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) return found(INFO, "fork: %s", strerror(errno));
    if (child == 0) {
        alarm(10);
        struct finding finding = probe->run();
        _exit(write(ends[1], &finding, sizeof finding) == (ssize_t)sizeof finding ? 0 : 1);
    }
    close(ends[1]);
    struct finding finding;
    ssize_t count = read(ends[0], &finding, sizeof finding);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (count == (ssize_t)sizeof finding) return finding;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return found(INFO, "did not end within ten seconds");
    if (WIFSIGNALED(status)) return found(SAFE, "killed: %s", strsignal(WTERMSIG(status)));
    return found(INFO, "ended without a word");
}

static int wanted(const char *name, int count, char **words) {
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], name) == 0) return 1;
    return count == 0;
}

static int flip(const char *folder, const char *target) {
    char spot[4096], other[4096];
    snprintf(spot, sizeof spot, "%s/spot", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    if ((mkdir(spot, 0777) != 0 && errno != EEXIST) || (symlink(target, other) != 0 && errno != EEXIST)) {
        perror("probe: flip");
        return 120;
    }
    puts("flipping");
    fflush(stdout);
    // A mount on it by a neighbour's sandbox is in that one's namespace, so that this goes on.
    for (;;) renameat2(AT_FDCWD, spot, AT_FDCWD, other, RENAME_EXCHANGE);
}

static void note_inherited_descriptors(void) {
    size_t length = 0;
    for (int number = 3; number < 1024 && length < sizeof inherited_descriptors - 8; number++)
        if (fcntl(number, F_GETFD) >= 0)
            length += (size_t)snprintf(
                inherited_descriptors + length, sizeof inherited_descriptors - length, " %d", number);
}

int main(int count, char **words) {
    const char *const verdicts[] = {"SAFE", "OPEN", "INFO"};
    note_inherited_descriptors();
    if (count == 3 && strcmp(words[1], "prepare") == 0) return prepare_image(words[2]);
    if (count > 3 && strcmp(words[1], "host") == 0) return run_between_canaries(words[2], words + 3);
    if (count == 2 && strcmp(words[1], "privileges") == 0) {
        // What the copies with set-user-id and with capabilities are started for.
        printf("%d %s\n", (int)geteuid(), status_line("/proc/self/status", "CapEff"));
        return 0;
    }
    if (count == 4 && strcmp(words[1], "flip") == 0) return flip(words[2], words[3]);
    int listing = count == 2 && strcmp(words[1], "list") == 0;
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        for (const struct probe *probe = lists[list]; probe->name; probe++) {
            if (listing) {
                printf("%d %s %s\n", probe->row, probe->name, probe->threat);
            } else if (wanted(probe->name, count - 1, words + 1)) {
                struct finding finding = run_apart(probe);
                printf("%s %s %s\n", probe->name, verdicts[finding.verdict], finding.detail);
                fflush(stdout);
            }
        }
    }
    return 0;
}
