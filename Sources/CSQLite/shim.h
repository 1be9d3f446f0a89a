#pragma once
#include <sqlite3.h>

// SQLITE_TRANSIENT is a cast of -1 to a function pointer, which Swift cannot import.
static inline int plane_sqlite_bind_text(sqlite3_stmt *s, int i, const char *t, int n) {
    return sqlite3_bind_text(s, i, t, n, SQLITE_TRANSIENT);
}

// sqlite3_db_config is variadic. A stray double-quoted name in SQL is then an error instead of a string.
static inline int plane_sqlite_refuse_quoted_strings(sqlite3 *d) {
    int off = 0;
    int result = sqlite3_db_config(d, SQLITE_DBCONFIG_DQS_DML, 0, &off);
    if (result == SQLITE_OK) result = sqlite3_db_config(d, SQLITE_DBCONFIG_DQS_DDL, 0, &off);
    return result;
}

// sqlite3_config is variadic, too. Without statistics of its memory, which nobody reads, SQLite takes no lock for each
// allocation. It answers SQLITE_MISUSE, and changes nothing, when the library is in use already.
static inline int plane_sqlite_keep_no_memory_statistics(void) {
    return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}
