// Tries what a sandbox must not do and what it must be able to do, and prints "NAME RESULT" for each: "ok", the number
// of the error, or "signal N" for what ended a child.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result) {
    if (result >= 0) printf("%s ok\n", name);
    else printf("%s %d\n", name, errno);
    fflush(stdout);
}

static void socket_of(const char *name, int family, int type, int protocol) {
    int made = socket(family, type, protocol);
    say(name, made);
    if (made >= 0) close(made);
}

static void *nothing(void *argument) { return argument; }

static void call_32bit(void) {
#ifdef __x86_64__
    long result;
    // getpid of the 32-bit table.
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
#endif
}

static void call_x32(void) { syscall(0x40000000 | SYS_getpid); }

static void in_child(const char *name, void (*act)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        act();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("%s signal %d\n", name, WTERMSIG(status));
    else printf("%s ok\n", name);
}

int main(void) {
    char c = 'x';
    long clone3[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    // Arguments that do no harm where nothing forbids the call.
    say("mount", syscall(SYS_mount, 0, "/nonexistent", 0, 0, 0));
    say("unshare", syscall(SYS_unshare, 0));
    say("setns", syscall(SYS_setns, 0, 0));
    say("ptrace", syscall(SYS_ptrace, 0x4206, -1, 0, 0));
    say("bpf", syscall(SYS_bpf, 999, 0, 0));
    say("keyctl", syscall(SYS_keyctl, 999, 0, 0, 0, 0));
    say("io_uring_setup", syscall(SYS_io_uring_setup, 0, 0));
    say("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0));
    say("chroot", syscall(SYS_chroot, "/"));
    say("clone3", syscall(SYS_clone3, clone3, 0));
    say("unknown", syscall(9999));
    say("read_nothing", syscall(SYS_read, 0, &c, 0));
    socket_of("unix", AF_UNIX, SOCK_STREAM, 0);
    socket_of("tcp", AF_INET, SOCK_STREAM, 0);
    socket_of("route", AF_NETLINK, SOCK_RAW, 0);
    socket_of("generic_netlink", AF_NETLINK, SOCK_RAW, 16);
    socket_of("packet", AF_PACKET, SOCK_RAW, 0);
    socket_of("vsock", AF_VSOCK, SOCK_STREAM, 0);
    say("tiocsti", syscall(SYS_ioctl, -1, 0x5412L, &c));
    say("tiocsti_wide", syscall(SYS_ioctl, -1, 0x100005412L, &c));
    say("personality_ask", personality(0xffffffff));
    say("personality_exec", syscall(SYS_personality, 0x400000));
    say("mm_map_size", prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, (unsigned long)&(unsigned){0}, 0, 0));
    say("name", prctl(PR_SET_NAME, "probe", 0, 0, 0));
    pthread_t thread;
    errno = pthread_create(&thread, 0, nothing, 0);
    say("thread", errno ? -1 : pthread_join(thread, 0));
    in_child("call_32bit", call_32bit);
    in_child("call_x32", call_x32);
    return 0;
}
