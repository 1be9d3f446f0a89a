"""Faults of what is durable: SQLite's disk, and the PostgreSQL server."""

import errno
import signal
import time

from fault import AT_ONCE, BOTH, LONG, Fault, Lasting
from fault_site import RECOVERY
from parts import wait_until


class DiskFilled(Fault):
    """disk full under SQLite"""

    kinds = ("sqlite",)

    def inject(self):
        with open(self.site.database / "filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 4096):
                self.fill(filler, bytes(size))

    @staticmethod
    def fill(filler, block):
        try:
            while filler.write(block) == len(block):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def heal(self):
        (self.site.database / "filler").unlink()


class DiskFull(DiskFilled):
    """disk full under SQLite for longer than the lease"""

    keeps = BOTH
    seconds = LONG

    def inject(self):
        # A write-ahead log that has been long once is used again without growing; a stop makes it short.
        for part in self.site.controllers:
            part.stop()
            part.start()
        self.site.settle(RECOVERY)
        super().inject()
        refused = self.site.clients.refused_connects
        time.sleep(self.duration)
        if self.site.clients.refused_connects == refused:
            raise AssertionError("the disk was full, and every connect succeeded: nothing has been tried")


class PostgresRestarted(Fault):
    """PostgreSQL: stopped as by pg_ctl -m immediate, back at once"""

    kinds = ("postgres",)
    seconds = AT_ONCE
    keeps = BOTH

    def inject(self):
        self.site.postgres.stop(signal.SIGQUIT)

    def heal(self):
        self.site.postgres.start()
        wait_until(self.site.postgres.is_ready, 20, "PostgreSQL ready")


class PostgresKilled(PostgresRestarted):
    """PostgreSQL: kill -9 of all its processes, back at once"""

    def inject(self):
        self.site.postgres.kill()


class PostgresSessionsCut(Fault):
    """PostgreSQL: every session of the controllers ended"""

    kinds = ("postgres",)
    keeps = BOTH
    seconds = AT_ONCE

    def inject(self):
        self.site.postgres.cut_sessions()


class PostgresAway(Lasting, PostgresRestarted):
    """PostgreSQL: away for longer than the lease"""


class PostgresPaused(Fault):
    """PostgreSQL: SIGSTOP for less than the lease"""

    kinds = ("postgres",)

    def inject(self):
        self.site.postgres.pause()

    def heal(self):
        self.site.postgres.resume()


class PostgresPausedLong(Lasting, PostgresPaused):
    """PostgreSQL: SIGSTOP for longer than the lease"""


POSTGRES = [
    PostgresRestarted, PostgresKilled, PostgresSessionsCut, PostgresAway, PostgresPaused, PostgresPausedLong,
]
