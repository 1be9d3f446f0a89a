// launch FILTER COMMAND [ARGUMENT...]: attaches the seccomp program in FILTER and runs the command under it.
// With "-" for FILTER it runs the command without one.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct sock_filter records[4096];

static long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    if (strcmp(words[1], "-")) {
        int file = open(words[1], O_RDONLY | O_CLOEXEC);
        ssize_t bytes = read(file, records, sizeof records);
        if (bytes <= 0 || bytes % 8) return perror(words[1]), 3;
        struct sock_fprog program = {.len = bytes / 8, .filter = records};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return perror("PR_SET_NO_NEW_PRIVS"), 3;
        long before = microseconds();
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return perror("seccomp"), 3;
        if (getenv("SHOW_ATTACH_TIME")) fprintf(stderr, "%ld\n", microseconds() - before);
    }
    execv(words[2], words + 2);
    perror(words[2]);
    return 3;
}
