#include "CPostgres.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void (*noticeProcessor)(void *argument, const char *message);

#define MEMBER(result, name, parameters) result(*name) parameters;
static struct {
    PLANE_POSTGRES_FUNCTIONS(MEMBER)
    noticeProcessor (*PQsetNoticeProcessor)(PGconn *connection, noticeProcessor processor, void *argument);
} table;
#undef MEMBER

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *failure;

static void *lookUp(void *library, const char *name) {
    void *address = dlsym(library, name);
    // dlerror's text does not outlive the next call of it.
    if (address == NULL && failure == NULL) failure = strdup(dlerror());
    return address;
}

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        failure = strdup(dlerror());
        return;
    }
    // A function's address passes through void *, as POSIX wants of dlsym(3).
#define FILL(result, name, parameters) *(void **)&table.name = lookUp(library, #name);
    PLANE_POSTGRES_FUNCTIONS(FILL)
#undef FILL
    *(void **)&table.PQsetNoticeProcessor = lookUp(library, "PQsetNoticeProcessor");
}

const char *plane_postgres_load(void) {
    pthread_once(&once, load);
    return failure;
}

static void drop(void *argument, const char *message) {
    (void)argument;
    (void)message;
}

void plane_postgres_silence(PGconn *connection) { table.PQsetNoticeProcessor(connection, drop, NULL); }

int plane_PQisthreadsafe(void) { return table.PQisthreadsafe(); }

PQconninfoOption *plane_PQconninfoParse(const char *url, char **message) { return table.PQconninfoParse(url, message); }

void plane_PQconninfoFree(PQconninfoOption *options) { table.PQconninfoFree(options); }

PGconn *plane_PQconnectStartParams(const char *const *names, const char *const *values, int expand) {
    return table.PQconnectStartParams(names, values, expand);
}

int plane_PQconnectPoll(PGconn *connection) { return table.PQconnectPoll(connection); }

int plane_PQstatus(const PGconn *connection) { return table.PQstatus(connection); }

int plane_PQtransactionStatus(const PGconn *connection) { return table.PQtransactionStatus(connection); }

int plane_PQserverVersion(const PGconn *connection) { return table.PQserverVersion(connection); }

char *plane_PQerrorMessage(const PGconn *connection) { return table.PQerrorMessage(connection); }

int plane_PQsocket(const PGconn *connection) { return table.PQsocket(connection); }

void plane_PQfinish(PGconn *connection) { table.PQfinish(connection); }

int plane_PQsetnonblocking(PGconn *connection, int on) { return table.PQsetnonblocking(connection, on); }

int plane_PQenterPipelineMode(PGconn *connection) { return table.PQenterPipelineMode(connection); }

int plane_PQpipelineSync(PGconn *connection) { return table.PQpipelineSync(connection); }

int plane_PQsendPrepare(PGconn *connection, const char *name, const char *sql, int count, const uint32_t *types) {
    return table.PQsendPrepare(connection, name, sql, count, types);
}

int plane_PQsendQueryPrepared(PGconn *connection, const char *name, int count, const char *const *values,
                              const int *lengths, const int *formats, int resultFormat) {
    return table.PQsendQueryPrepared(connection, name, count, values, lengths, formats, resultFormat);
}

int plane_PQflush(PGconn *connection) { return table.PQflush(connection); }

int plane_PQconsumeInput(PGconn *connection) { return table.PQconsumeInput(connection); }

int plane_PQisBusy(PGconn *connection) { return table.PQisBusy(connection); }

PGresult *plane_PQgetResult(PGconn *connection) { return table.PQgetResult(connection); }

PGnotify *plane_PQnotifies(PGconn *connection) { return table.PQnotifies(connection); }

void plane_PQfreemem(void *memory) { table.PQfreemem(memory); }

int plane_PQresultStatus(const PGresult *result) { return table.PQresultStatus(result); }

char *plane_PQresultErrorField(const PGresult *result, int field) { return table.PQresultErrorField(result, field); }

int plane_PQntuples(const PGresult *result) { return table.PQntuples(result); }

int plane_PQgetisnull(const PGresult *result, int row, int column) { return table.PQgetisnull(result, row, column); }

char *plane_PQgetvalue(const PGresult *result, int row, int column) { return table.PQgetvalue(result, row, column); }

int plane_PQgetlength(const PGresult *result, int row, int column) { return table.PQgetlength(result, row, column); }

char *plane_PQcmdStatus(PGresult *result) { return table.PQcmdStatus(result); }

char *plane_PQcmdTuples(PGresult *result) { return table.PQcmdTuples(result); }

void plane_PQclear(PGresult *result) { table.PQclear(result); }
