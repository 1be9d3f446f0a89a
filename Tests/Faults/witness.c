/* What runs in every backend of the fault suite: it bears witness to its own life.
 *
 * All backends of all drones have one folder in common, /shared, with one file, `log`. Each process appends a record when
 * it starts and one every 5 ms from then on, each by a single write(2) with O_APPEND. The kernel puts such writes into one
 * order, and that order is the evidence: no clock takes part in it. (Monotonic clocks could not: each sandbox has a time
 * namespace of its own.)
 *
 *   S KEY TOKEN BACKEND START LOCK    it began; LOCK is "free", or "held" while another process of the key still lived
 *   B KEY START TIME                  it still lives
 *
 * START and TIME are nanoseconds since 1970, for people; START also tells two processes of one backend apart. The lock is
 * flock(2) on a file of the key: the kernel lets go of it when the process is gone and not before, so it sees what falls
 * between two records, and a process that was stopped.
 *
 * It answers each HTTP request with who it is. With STUBBORN in its environment it does not end when asked to. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { client_count_max = 64, head_size_max = 8192, beat_milliseconds = 5 };

struct client {
    int socket;
    size_t length;
    char head[head_size_max + 1];
};

static struct client clients[client_count_max];
static int client_count;
static const char *key, *token, *backend;
static long long start;
static int log_file;

static void fail(const char *what) {
    fprintf(stderr, "witness: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static const char *required(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "witness: %s is not in the environment\n", name);
        exit(1);
    }
    return value;
}

static void record(const char *line, int length) {
    if (write(log_file, line, (size_t)length) != length) fail("append to /shared/log");
}

static void begin(void) {
    char path[300], line[600];
    snprintf(path, sizeof path, "/shared/%s.lock", key);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) fail(path);
    log_file = open("/shared/log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log_file < 0) fail("/shared/log");
    int held = flock(lock, LOCK_EX | LOCK_NB) != 0;
    start = now();
    record(line, snprintf(line, sizeof line, "S %s %s %s %lld %s\n", key, token, backend, start, held ? "held" : "free"));
}

static void beat(void) {
    char line[400];
    record(line, snprintf(line, sizeof line, "B %s %lld %lld\n", key, start, now()));
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
        fail("listen");
    }
    return listener;
}

static void drop(int index) {
    close(clients[index].socket);
    clients[index] = clients[--client_count];
}

static void answer(struct client *client) {
    char body[600], whole[900], seen[32] = "";
    const char *field = strcasestr(client->head, "\nx-plane-fencing-token:");
    if (field != NULL) sscanf(strchr(field, ':') + 1, " %31[0-9]", seen);
    int length = snprintf(body, sizeof body, "{\"key\":\"%s\",\"token\":%s,\"backend\":\"%s\",\"start\":%lld,\"header\":\"%s\"}\n",
        key, token, backend, start, seen);
    length = snprintf(whole, sizeof whole,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s", length, body);
    if (write(client->socket, whole, (size_t)length) != length) return; /* it has gone away */
}

static void serve(int index) {
    struct client *client = &clients[index];
    ssize_t count = read(client->socket, client->head + client->length, head_size_max - client->length);
    if (count < 0 && errno == EAGAIN) return;
    if (count > 0) {
        client->length += (size_t)count;
        client->head[client->length] = 0;
        if (strstr(client->head, "\r\n\r\n") == NULL && client->length < head_size_max) return;
        answer(client);
    }
    drop(index);
}

static void welcome(int listener) {
    while (client_count < client_count_max) {
        int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) return;
        clients[client_count].socket = socket;
        clients[client_count++].length = 0;
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    if (getenv("STUBBORN") != NULL) signal(SIGTERM, SIG_IGN);
    key = required("SESSION_BACKEND_KEY");
    token = required("SESSION_BACKEND_FENCING_TOKEN");
    backend = required("SESSION_BACKEND_ID");
    begin();
    int listener = listen_on(atoi(required("PORT")));
    for (long long next = now();;) {
        struct pollfd waiting[client_count_max + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < client_count; i++) waiting[i + 1] = (struct pollfd){.fd = clients[i].socket, .events = POLLIN};
        long long left = (next - now() + 999999) / 1000000;
        if (poll(waiting, (nfds_t)client_count + 1, left > 0 ? (int)left : 0) < 0 && errno != EINTR) fail("poll");
        if (now() >= next) {
            beat();
            next = now() + beat_milliseconds * 1000000LL;
        }
        for (int i = client_count - 1; i >= 0; i--) {
            if (waiting[i + 1].revents) serve(i);
        }
        if (waiting[0].revents) welcome(listener);
    }
}
