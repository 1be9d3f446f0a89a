"""Processes of the fault suite: started, killed, stopped and gone on, each with a log of its own."""

import os
import pathlib
import signal
import subprocess
import time


def wait_until(condition, seconds, what):
    """Waits for a condition that has no event to wait for, and says what did not come."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Part:
    """One process of a site. Starting it again appends to its log."""

    def __init__(self, name, words, folder, namespace=None, environment=None, user=None):
        self.name, self.words, self.user = name, words, user
        self.namespace = namespace  # of the network; None is the host's
        self.environment = dict(environment or {})
        self.log = pathlib.Path(folder) / f"{name}.log"
        self.process = None

    def start(self):
        if self.is_running:
            return
        # "ip netns exec" becomes the program: the pid and the parent are the program's own.
        prefix = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        self.note("started")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self.user,
                env={**os.environ, **self.environment}, start_new_session=True)

    def note(self, what):
        """Into its log, so that the fault can be found there."""
        with open(self.log, "a") as log:
            log.write(f"---- {time.time():.3f} {what}\n")

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def pids(self):
        """Its process and, where it has any, the processes that this one started."""
        return [self.process.pid]

    def send(self, number):
        if not self.is_running:
            return
        self.note(signal.Signals(number).name)
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        if self.is_running:
            self.send(signal.SIGKILL)
            self.process.wait(10)

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Asks it to end. What does not end in time is killed, and that is an error."""
        if not self.is_running:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name} did not end within {seconds} s of {signal.Signals(number).name}") from None


class Postgres(Part):
    """A PostgreSQL server in a folder of its own, durable as by default."""

    def __init__(self, folder, port):
        self.data = pathlib.Path(folder) / "postgres"
        self.port = port
        self.programs = max(
            pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
        if self.programs is None:
            raise FileNotFoundError("no PostgreSQL server below /usr/lib/postgresql. Run: apt-get install postgresql")
        super().__init__(
            "postgres", [
                "setpriv", "--pdeathsig", "QUIT", str(self.programs / "postgres"), "-D", str(self.data), "-p", str(port),
                "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.data}",
                "-c", "max_connections=50", "-c", "shared_buffers=32MB",
                # After a crash it else begins by fsync of each of its thousand files, which takes a second.
                "-c", "recovery_init_sync_method=syncfs"],
            folder, user="postgres")

    url = property(lambda self: f"postgresql://postgres@127.0.0.1:{self.port}/postgres")

    def make(self):
        self.data.mkdir(mode=0o700)
        subprocess.run(["chown", "postgres:", str(self.data)], check=True)
        subprocess.run(
            [str(self.programs / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres", "-E", "UTF8",
             "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, user="postgres", cwd="/")

    def is_ready(self):
        return subprocess.run(
            [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]

    def kill(self):
        pids = self.pids()
        super().kill()
        # The next server starts only when nothing of this one is left.
        wait_until(lambda: not any(map(is_alive, pids)), 10, "PostgreSQL's processes gone")

    def cut_sessions(self):
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> "
        subprocess.run(
            [str(self.programs / "psql"), "-q", "-d", self.url, "-c", cut + "pg_backend_pid()"], check=True,
            stdout=subprocess.DEVNULL, timeout=10)

    def stop(self, number=signal.SIGINT, seconds=15):
        """- number: SIGINT does not wait until every client has gone, SIGQUIT not even until what it has is written."""
        super().stop(number, seconds)


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_alive(pid):
    """Whether it still runs; what only waits to be collected does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
