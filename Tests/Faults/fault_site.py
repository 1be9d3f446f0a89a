"""A whole Plane whose parts can be broken one by one: controllers, and two drones with a warden each.

The drones stand for two machines of one host: each has a state folder, a warden and a network of its own, and a cluster
of its own, so that a URL leads to the one that has the backend. All backends write to one log, which the judge reads.
"""

import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import network
from clients import Clients, NO_ANSWER, request
from judge import Judge
from network import Wire
from parts import Part, Postgres, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("PLANE_BINARIES", ROOT / ".build" / "release"))
FOLDER = os.environ.get("PLANE_TEST_FOLDER", "/var/lib")  # on a file system that can be idmapped
USER = 63180  # the default of controller, drone and warden

# Seconds. Short, so that many rounds fit; in the order that the controller checks.
RENEW, SOFT, HARD, EXPIRY = 0.3, 1.2, 1.8, 2.5

RECOVERY = 20  # seconds after healing in which every key has to be served again

# Longer than soft to hard, so that a stubborn backend is ended by its deadline and not by its grace period.
POLICY = {
    "limits": {"memory": "32MiB", "pids": 4, "disk": "1MiB"}, "grace_period": "1s", "readiness": {"timeout": "20s"},
    "mounts": [{"volume": "evidence", "at": "/shared"}]}
MANIFEST = {"name": "witness", "command": ["/witness"], "port": 8080, "environment": {}, "working_directory": "/"}


def clean(state):
    """What a killed warden left, as the next one would."""
    if (state / "run").exists():  # else none was ever started
        words = [str(BINARIES / "plane-warden"), "clean", "--state", str(state)]
        subprocess.run(words, check=True, capture_output=True)


def remove_abandoned():
    """What a suite left that was killed; its processes ended with it."""
    network.remove_abandoned()
    for folder in pathlib.Path(FOLDER).glob("plane-faults-*-*"):
        if pathlib.Path("/proc", folder.name.split("-")[2]).exists():
            continue
        for run in folder.glob("*/images"):
            clean(run.parent)
        if os.path.ismount(folder / "database"):
            subprocess.run(["umount", str(folder / "database")], check=True)
        shutil.rmtree(folder)


@functools.cache
def help_of(command):
    return subprocess.run([str(BINARIES / "plane"), command, "--help"], check=True, capture_output=True, text=True).stdout


@functools.cache
def cgroups():
    """Where cgroup v2 is mounted."""
    mounts = (line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines())
    return pathlib.Path(next(fields[1] for fields in mounts if fields[2] == "cgroup2"))


def compile_c(source, target, *options):
    path = pathlib.Path(__file__).parent / source
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-Wall", *options, "-o", str(target), str(path)], check=True)


class Drone:
    """One machine: a warden, a drone beside it and the wire that leads to it."""

    def __init__(self, name, folder, wire, proxy_port, controllers, replaces=None):
        """- replaces: the drone whose name and address it has, where it stands in for it."""
        self.name, self.wire, self.replaced = name, wire, replaces or self
        self.state = folder / name
        self.cluster = f"{self.replaced.wire.drone}:{proxy_port}"
        self.warden = Part(f"{name}-warden", [
            str(BINARIES / "plane-warden"), "serve", "--state", str(self.state), "--drone-user", str(USER),
            "--plane", str(BINARIES / "plane"), "--allow-missing-controllers", "--end-with-parent"], folder)
        self.drone = Part(f"{name}-drone", self.words(folder, controllers, proxy_port), folder, namespace=wire.namespace)

    def words(self, folder, controllers, proxy_port):
        found = [str(BINARIES / "plane"), "drone", "--name", f"dr-{self.replaced.name}", "--cluster", self.cluster]
        for port in controllers:
            found += ["--controller-url", f"http://{self.wire.host}:{port}"]
        return found + [
            "--warden-socket", str(self.state / "run" / "warden.sock"), "--proxy-host", self.replaced.wire.drone,
            "--proxy-port", str(proxy_port), "--proxy-threads", "1", "--user", str(USER),
            "--allow-missing-controllers", "--end-with-parent"]

    def prepare(self, witness, evidence):
        image, policies = self.state / "images" / "witness", self.state / "policies"
        for name in ("dev", "proc", "sys", "tmp", "etc", "run", "shared", "home/user"):
            (image / "rootfs" / name).mkdir(parents=True)
        shutil.copy(witness, image / "rootfs" / "witness")
        (image / "manifest.json").write_text(json.dumps(MANIFEST))
        policies.mkdir()
        (policies / "witness.json").write_text(json.dumps(POLICY | {"volume_base": str(evidence)}))
        (policies / "default.json").write_text("{}")

    def clean(self):
        clean(self.state)

    @property
    def cgroup(self):
        """Where its sandboxes are; the name is a hash of the state folder's (FNV-1a)."""
        value = 0x811C9DC5
        for byte in str(self.state).encode():
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
        return cgroups() / f"plane-{value:x}"


class Site:
    """A context manager that leaves nothing behind but, after a failure, its logs.

    - kind: "sqlite", with one controller on a file system of its own, or "postgres", with two controllers on one server.
    """

    def __init__(self, kind, seed):
        self.kind = kind
        self.made = []  # what undoes what was made, newest last
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"plane-faults-{os.getpid()}-", dir=FOLDER))
        self.folder.chmod(0o755)
        self.number, first = self.free_ports()
        ports = [first + 1 + index for index in range(self.controller_count)]
        self.evidence = self.folder / "evidence"
        self.evidence.mkdir(mode=0o700)
        self.log = self.evidence / "evidence" / "log"
        self.wall_clock = self.folder / "wall-clock.so"
        self.shift = self.folder / "wall-clock"  # what a preloaded wall clock is moved by
        self.database = self.folder / "database"
        self.postgres = Postgres(self.folder, first + 5) if kind == "postgres" else None
        self.controllers = [self.controller(index, port) for index, port in enumerate(ports)]
        self.drones = [Drone(name, self.folder, Wire(self.number, index), first + 11 + index, self.ports_of(index, ports))
                       for index, name in enumerate(("one", "two"))]
        # Another machine that is given the name of the first: in place of it, while that one may still run somewhere.
        self.spare = Drone("spare", self.folder, Wire(self.number, 2), first + 11, ports, replaces=self.drones[0])
        self.judge = Judge()
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.clients = Clients(self.urls, [drone.cluster for drone in self.drones], seed)

    def free_ports(self):
        """A number for names and networks, and the first of a hundred ports that nobody listens on."""
        for number in range(10):
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0plane-faults-{number}")  # held by no other suite, and given back by its end
                for offset in (1, 2, 5):
                    with socket.socket() as probe:
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed ones do not count
                        probe.bind(("0.0.0.0", 20000 + 100 * number + offset))
            except OSError:
                claim.close()
                continue
            self.made.append(claim.close)
            return number, 20000 + 100 * number
        raise RuntimeError("ports 20000 to 20999 are all in use")

    @property
    def controller_count(self):
        return 1 if self.kind == "sqlite" else 2

    def ports_of(self, index, ports):
        """Of the controllers that a drone may hang on."""
        return ports

    def database_of(self, index):
        """What a controller is given as --db."""
        return self.postgres.url if self.postgres else str(self.database / "plane.db")

    def controller(self, index, port):
        times = zip(("renew", "soft", "hard", "expiry"), (RENEW, SOFT, HARD, EXPIRY))
        lease = [word for name, seconds in times for word in (f"--lease-{name}-ms", str(round(seconds * 1000)))]
        # The networks of the drones reach nothing else and are reached by nobody else.
        anonymous = ["--allow-anonymous"] if "--allow-anonymous" in help_of("controller") else []
        return Part(f"controller-{index}", [
            str(BINARIES / "plane"), "controller", "--db", self.database_of(index), "--host", "0.0.0.0", "--port",
            str(port), "--controller-url", f"http://127.0.0.1:{port}", "--user", str(USER), "--end-with-parent",
            *anonymous, *lease], self.folder)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            print(f"the site did not come up: kept in {self.keep_logs('start')}", file=sys.stderr)
            print(f"    refused: {self.clients.refusals}", file=sys.stderr)
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.database.mkdir(mode=0o700)
        if self.kind == "sqlite":
            # Room for the write-ahead log, which is begun anew when it has 64 MiB, and for the database.
            options = ["-t", "tmpfs", "-o", "size=160m,mode=700"]
            subprocess.run(["mount", *options, "plane-faults", str(self.database)], check=True)
            self.made.append(lambda: subprocess.run(["umount", str(self.database)], check=True))
        os.chown(self.database, USER, USER)
        witness = self.folder / "witness"
        compile_c("witness.c", witness, "-static")
        compile_c("wall_clock.c", self.wall_clock, "-shared", "-fPIC")
        if self.postgres:
            self.postgres.make()
            self.postgres.start()
            wait_until(self.postgres.is_ready, 20, "PostgreSQL ready")
        for controller in self.controllers:
            controller.start()
        for drone in [*self.drones, self.spare]:
            drone.prepare(witness, self.evidence)
            drone.wire.make()
            self.made.append(drone.wire.remove)
            self.made.append(drone.clean)
        for drone in self.drones:
            drone.warden.start()
            drone.drone.start()
        self.clients.start()
        self.settle(30)

    def parts(self):
        """In the order in which they are ended."""
        drones = [part for drone in [*self.drones, self.spare] for part in (drone.drone, drone.warden)]
        return drones + self.controllers + ([self.postgres] if self.postgres else [])

    def part(self, name):
        return next(part for part in self.parts() if part.name == name)

    def settle(self, seconds):
        """Waits until each key has been served to a connect that begins now. - Returns: how long that took."""
        began = time.monotonic()
        wait_until(lambda: not self.clients.unserved(began), seconds, "every key connected to and its backend reached")
        return time.monotonic() - began

    def states(self, backend):
        """What each controller that runs says of a backend: its status, or None if it does not know it."""
        for url in self.urls:
            status, text = request("GET", f"{url}/pub/b/{backend}/status")
            if status == 404:
                yield url, None
            elif status == 200:
                yield url, json.loads(text)
            else:
                raise OSError(f"{url} answers {status} to a question for a status: {text.decode()[:200]}")

    def close(self):
        self.clients.stop()
        failures = []
        for part in self.parts():
            if part.process is None:
                continue
            part.resume()  # a stopped process does not hear that it should end
            try:
                part.stop()
            except TimeoutError as error:
                failures.append(error)
        self.undo(failures)
        for drone in [*self.drones, self.spare]:
            if drone.cgroup.exists():
                failures.append(RuntimeError(f"the cgroup {drone.cgroup} of {drone.name} is left"))
        if failures:
            raise failures[0]

    def undo(self, failures):
        while self.made:
            try:
                self.made.pop()()
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                failures.append(error)
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep_logs(self, name):
        """Copies logs and evidence to where they outlive this site. - Returns: where."""
        kept = pathlib.Path(tempfile.mkdtemp(prefix=f"plane-faults-{name}-", dir="/tmp"))
        for path in [*self.folder.glob("*.log"), self.log]:
            if path.exists():
                shutil.copy(path, kept / (path.name if path.suffix else "evidence"))
        return kept


class SplitSite(Site):
    """A wrong one, by which the judge is tested: each drone hangs on a controller with a database of its own."""

    controller_count = 2

    def __init__(self, seed):
        super().__init__("sqlite", seed)

    def ports_of(self, index, ports):
        return ports[index : index + 1]

    def database_of(self, index):
        return str(self.database / f"plane-{index}.db")

    def overlaps_within(self, seconds):
        """Waits for the judge to see one. - Returns: how many it saw."""
        deadline = time.monotonic() + seconds
        while not self.judge.overlaps and time.monotonic() < deadline:
            time.sleep(0.1)
            self.judge.read(self.log)
        return len(self.judge.overlaps)
