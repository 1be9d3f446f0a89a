// What the files of the probe share: how a probe says what it found, and the lists of probes.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>

// SAFE: the defence held. OPEN: the probe got through. INFO: a fact that is neither, or a probe that cannot tell here.
enum verdict { SAFE, OPEN, INFO };

struct finding {
    enum verdict verdict;
    char detail[240];
};

struct probe {
    const char *name;
    int row;             // the threat's number in the checklist that SECURITY.md follows; 0 where it has none
    const char *threat;  // what it stands for, in words
    struct finding (*run)(void);
};

// The probes of one file, ended by one without a name.
extern const struct probe identity_probes[], namespace_probes[], call_probes[], socket_probes[], file_probes[],
    neighbour_probes[];

struct finding found(enum verdict verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A call that must fail: any success is open.
struct finding must_fail(long result);

// A call whose other errors (no such file, bad argument) come only after the check of privilege: open unless it was
// refused as not permitted or not there.
struct finding must_be_refused(long result);

// The same for looking: whether a path can be opened so. Its content stays as it is.
struct finding must_not_open(const char *path, int flags);

// A fact about the host that the canaries' file tells, NULL where it does not.
const char *canary(const char *name);

// The value of a line of /proc/self/status, "" where there is none.
const char *status_line(const char *file, const char *name);

// Descriptors above 2 that were open when the program began, as a list of numbers.
extern char inherited_descriptors[240];

// Programs in the image besides the probe, made by `probe prepare`.
#define CANARIES "/probe-canaries"
#define SET_USER_ID_COPY "/probe-setuid"
#define CAPABLE_COPY "/probe-capable"
#define DEVICE_NODE "/probe-device"
#define LOCKED_FILE "/probe-locked"

// The names of what `probe host` has on the host while a sandbox runs.
#define CANARY_NAME "plane-probe-canary"
#define CANARY_KEY 0x504c414e

int prepare_image(const char *root);
int run_between_canaries(const char *facts, char **command);
