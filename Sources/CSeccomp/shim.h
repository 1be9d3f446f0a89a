#pragma once
// libseccomp: names and numbers of system calls, and the filter that ours is proven equal to. seccomp_init(3).
#include <seccomp.h>
#include <errno.h>

// SCMP_ACT_ERRNO(x) is a function-like macro and the others are casts, so none of them is imported.
static inline uint32_t plane_scmp_allow(void) { return SCMP_ACT_ALLOW; }
static inline uint32_t plane_scmp_kill_process(void) { return SCMP_ACT_KILL_PROCESS; }
static inline uint32_t plane_scmp_errno(int e) { return SCMP_ACT_ERRNO(e); }
