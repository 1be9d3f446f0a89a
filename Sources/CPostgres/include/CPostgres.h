#ifndef PLANE_CPOSTGRES_H
#define PLANE_CPOSTGRES_H

#include <stddef.h>
#include <stdint.h>

// The part of libpq that Plane uses, declared here so that neither its headers nor the library are needed to build or to
// run a Plane that keeps its state in SQLite. Names and values are those of libpq-fe.h, which are fixed for libpq.so.5.
// postgresql.org/docs/15/libpq.html

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;

typedef struct {
    char *keyword;
    char *envvar;
    char *compiled;
    char *val;
    char *label;
    char *dispchar;
    int dispsize;
} PQconninfoOption;

typedef struct PGnotify {
    char *relname;
    int be_pid;
    char *extra;
    struct PGnotify *next;
} PGnotify;

enum { PLANE_CONNECTION_OK = 0, PLANE_CONNECTION_BAD = 1 };
enum { PLANE_PGRES_POLLING_FAILED = 0, PLANE_PGRES_POLLING_READING = 1, PLANE_PGRES_POLLING_WRITING = 2, PLANE_PGRES_POLLING_OK = 3 };
enum {
    PLANE_PGRES_EMPTY_QUERY = 0,
    PLANE_PGRES_COMMAND_OK = 1,
    PLANE_PGRES_TUPLES_OK = 2,
    PLANE_PGRES_FATAL_ERROR = 7,
    PLANE_PGRES_PIPELINE_SYNC = 10,
    PLANE_PGRES_PIPELINE_ABORTED = 11,
};
enum { PLANE_PQTRANS_IDLE = 0, PLANE_PQTRANS_ACTIVE = 1, PLANE_PQTRANS_INTRANS = 2, PLANE_PQTRANS_INERROR = 3, PLANE_PQTRANS_UNKNOWN = 4 };
// Fields of an error, postgres_ext.h.
enum { PLANE_PG_DIAG_SQLSTATE = 'C', PLANE_PG_DIAG_MESSAGE_PRIMARY = 'M' };

// Every function of libpq that is used: result, name, parameters. One list, so that what is declared is what is loaded.
#define PLANE_POSTGRES_FUNCTIONS(F)                                                                                     \
    F(int, PQisthreadsafe, (void))                                                                                      \
    F(PQconninfoOption *, PQconninfoParse, (const char *url, char **message))                                           \
    F(void, PQconninfoFree, (PQconninfoOption * options))                                                               \
    F(PGconn *, PQconnectStartParams, (const char *const *names, const char *const *values, int expand))                \
    F(int, PQconnectPoll, (PGconn * connection))                                                                        \
    F(int, PQstatus, (const PGconn *connection))                                                                        \
    F(int, PQtransactionStatus, (const PGconn *connection))                                                             \
    F(int, PQserverVersion, (const PGconn *connection))                                                                 \
    F(char *, PQerrorMessage, (const PGconn *connection))                                                               \
    F(int, PQsocket, (const PGconn *connection))                                                                        \
    F(void, PQfinish, (PGconn * connection))                                                                            \
    F(int, PQsetnonblocking, (PGconn * connection, int on))                                                             \
    F(int, PQenterPipelineMode, (PGconn * connection))                                                                  \
    F(int, PQpipelineSync, (PGconn * connection))                                                                       \
    F(int, PQsendPrepare,                                                                                               \
      (PGconn * connection, const char *name, const char *sql, int count, const uint32_t *types))                       \
    F(int, PQsendQueryPrepared,                                                                                         \
      (PGconn * connection, const char *name, int count, const char *const *values, const int *lengths,                 \
       const int *formats, int resultFormat))                                                                           \
    F(int, PQflush, (PGconn * connection))                                                                              \
    F(int, PQconsumeInput, (PGconn * connection))                                                                       \
    F(int, PQisBusy, (PGconn * connection))                                                                             \
    F(PGresult *, PQgetResult, (PGconn * connection))                                                                   \
    F(PGnotify *, PQnotifies, (PGconn * connection))                                                                    \
    F(void, PQfreemem, (void *memory))                                                                                  \
    F(int, PQresultStatus, (const PGresult *result))                                                                    \
    F(char *, PQresultErrorField, (const PGresult *result, int field))                                                  \
    F(int, PQntuples, (const PGresult *result))                                                                         \
    F(int, PQgetisnull, (const PGresult *result, int row, int column))                                                  \
    F(char *, PQgetvalue, (const PGresult *result, int row, int column))                                                \
    F(int, PQgetlength, (const PGresult *result, int row, int column))                                                  \
    F(char *, PQcmdStatus, (PGresult * result))                                                                         \
    F(char *, PQcmdTuples, (PGresult * result))                                                                         \
    F(void, PQclear, (PGresult * result))

#define PLANE_POSTGRES_DECLARE(result, name, parameters) result plane_##name parameters;
PLANE_POSTGRES_FUNCTIONS(PLANE_POSTGRES_DECLARE)
#undef PLANE_POSTGRES_DECLARE

// Loads libpq.so.5 and looks up every function; only the first call does anything. Until it returned NULL none of the
// functions above may be called. Returns why it failed, as dlerror(3) says it; the text lives as long as the process.
const char *plane_postgres_load(void);

// Drops the server's notices, which libpq would print to stderr.
void plane_postgres_silence(PGconn *connection);

#endif
