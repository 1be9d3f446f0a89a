#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include "CLinux.h"

// clone(2) on a stack of its own. The caller's memory is shared and the caller waits until the child has exec'ed or
// ended (CLONE_VM | CLONE_VFORK): nothing is copied, and no two run at once. Returns the child's pid or -errno.
long plane_clone_until_exec(int (*body)(void *), void *argument, size_t stack_size) {
    char *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -(long)errno;
    long pid = clone(body, stack + stack_size, CLONE_VM | CLONE_VFORK | SIGCHLD, argument);
    if (pid < 0) pid = -(long)errno;
    munmap(stack, stack_size);
    return pid;
}
