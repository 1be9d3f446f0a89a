"""Reads what the witnesses wrote and says whether, for each key, one process ended before the next one began.

The evidence is the order of the records in the log, which is the order in which the kernel took them (see witness.c).
For one key, from the first record of a process on, none of an earlier process may follow; fencing tokens grow from one
process to the next; and at its start a process must find the lock of its key free.
"""

import dataclasses


@dataclasses.dataclass
class Lifetime:
    """One process of one key, from its first record to the last one seen so far."""

    key: str
    token: int
    backend: str
    start: int  # nanoseconds since 1970, as the witness saw them
    last: int
    last_offset: int  # where its last record stands in the log
    superseded: bool = False

    def __str__(self):
        times = f"start {self.start / 1e9:.3f}, last write {self.last / 1e9:.3f}"
        return f"backend {self.backend} (token {self.token}, {times})"


class Judge:
    """Takes the log in pieces, as it grows."""

    def __init__(self):
        self.current = {}  # key -> Lifetime
        self.backends = {}  # backend id -> its first Lifetime
        self.processes = {}  # (key, start) -> Lifetime
        self.lifetimes = 0
        self.overlaps = []
        self.pairs = set()  # of processes that are among the overlaps
        self.tokens = []  # what was wrong with fencing tokens
        self.offset = 0
        self.rest = b""

    def read(self, path):
        """Judges what came since the last call. A record that is still being written is left for the next one."""
        try:
            with open(path, "rb") as log:
                log.seek(self.offset + len(self.rest))
                self.take(log.read())
        except FileNotFoundError:  # no backend has ever run
            pass

    def take(self, text):
        *lines, rest = (self.rest + text).split(b"\n")
        for line in lines:
            self.offset += len(line) + 1
            fields = line.decode().split(" ")
            if fields[0] == "B" and len(fields) == 4:
                self.beat(fields[1], int(fields[2]), int(fields[3]))
            elif fields[0] == "S" and len(fields) == 6:
                self.begin(fields[1], int(fields[2]), fields[3], int(fields[4]), fields[5])
            else:
                raise ValueError(f"byte {self.offset} of the log ends a line that is no record: {line!r}")
        self.rest = rest

    def begin(self, key, token, backend, start, lock):
        lifetime = Lifetime(key, token, backend, start, start, self.offset)
        before = self.current.get(key)
        if before:
            before.superseded = True
            if token <= before.token:
                self.tokens.append(f"key {key}: the token did not grow from {before} to {lifetime}")
        if lock != "free":
            self.overlaps.append(
                f"key {key}: another process held the lock when {lifetime} began; before it was {before}")
        self.lifetimes += 1
        self.current[key] = self.processes[key, start] = lifetime
        self.backends.setdefault(backend, lifetime)

    def beat(self, key, start, time):
        lifetime = self.processes.get((key, start))
        if lifetime is None:
            raise ValueError(f"key {key}: a record of a process that never began, start {start}")
        lifetime.last, lifetime.last_offset = time, self.offset
        if lifetime.superseded:
            pair = lifetime.start, self.current[key].start
            if pair not in self.pairs:  # not for each beat
                self.pairs.add(pair)
                self.overlaps.append(f"key {key}: {lifetime} wrote after {self.current[key]} had begun")

    def alive(self):
        """The processes that nothing has followed; whether they still run only their next records tell."""
        return dict(self.current)
