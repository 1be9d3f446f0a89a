"""A whole Plane on this machine, started as a person would start it: `plane dev` with a state folder and ports of its own.

The tests in this folder talk to it over HTTP and WebSocket only, with a client that is not Plane's, and look at the
host (processes, cgroups, mounts, network namespaces) for what should and should not be there.
"""

import ast
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "Rootfs"))
from websocket_client import Client  # noqa: E402

BINARIES = pathlib.Path(os.environ.get("PLANE_BINARIES", ROOT / ".build" / "release"))
IMAGES = pathlib.Path(os.environ.get("PLANE_TEST_IMAGES", "/var/lib/plane/images"))
FOLDER = os.environ.get("PLANE_TEST_FOLDER", "/var/lib")  # on a file system that can be idmapped
PLANE = str(BINARIES / "plane")
WARDEN = str(BINARIES / "plane-warden")
MOUNTS = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
CGROUPS = next(fields[1] for fields in MOUNTS if fields[2] == "cgroup2")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """Waits for a condition that has no event to wait for, and says what did not come."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Answer:
    """An HTTP answer, whatever its status."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def request(method, url, body=None, headers=None, timeout=30):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    headers = dict(headers or {})
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=data, headers=headers, method=method), timeout=timeout
        ) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def environment(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended
        return b""


class Backend:
    """What a connect answered, and what a user does with it."""

    def __init__(self, site, answer):
        self.site, self.answer, self.id = site, answer, answer["backend_id"]
        self.url, self.token = answer["url"], answer["token"]
        self.found = None

    @property
    def cgroup(self):
        """Found by the command that runs in it: a sandbox that was kept ready got its name before it got its backend."""
        if self.found is None:
            mark = f"SESSION_BACKEND_ID={self.id}".encode()
            for folder in pathlib.Path(self.site.cgroup).iterdir():
                if folder.is_dir() and any(mark in environment(pid) for pid in (folder / "cgroup.procs").read_text().split()):
                    self.found = folder
        return self.found or pathlib.Path(self.site.cgroup) / self.id

    def get(self, path="", **options):
        return request("GET", self.url + path, **options)

    def repl(self):
        return Client(self.site.proxy_port, f"/{self.token}/ws", host=self.site.cluster)

    def value(self, code):
        """Evaluates an expression in the sandbox and returns its value, as Python reads it."""
        with self.repl() as client:
            return ast.literal_eval(client.value(code))

    def run(self, code):
        """Runs statements in the sandbox and returns what they printed."""
        with self.repl() as client:
            messages = client.evaluate(code)
        failures = [message["traceback"] for message in messages if message["type"] == "error"]
        if failures:
            raise AssertionError(failures[0])
        return "".join(message["text"] for message in messages if message["type"] == "output")

    def status(self):
        return request("GET", self.answer["status_url"]).json

    def wait_for(self, status, seconds=30):
        def reached():
            entry = self.status()
            return entry if entry["status"] == status else None

        return wait_until(reached, seconds, f"backend {self.id} {status}")

    def processes(self):
        """Host pids of everything in the sandbox."""
        return [int(line) for line in (self.cgroup / "cgroup.procs").read_text().split()]


class PlaneSite:
    """`plane dev` in a state folder of its own; a context manager that leaves nothing behind."""

    def __init__(self, *arguments, images=("python-repl",)):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="plane-test-", dir=FOLDER))
        self.state.chmod(0o755)
        self.port, self.proxy_port = free_port(), free_port()
        self.arguments = arguments
        (self.state / "images").mkdir(mode=0o755)
        (self.state / "policies").mkdir(mode=0o755)
        for name in images:
            copy_tree(IMAGES / name, self.state / "images" / name)
        for policy in (ROOT / "Policies").glob("*.json"):
            self.install_policy(policy.name, policy.read_text())
        self.log = open(self.state / "dev.log", "w+")
        self.process = None

    def install_policy(self, name, text):
        path = self.state / "policies" / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        path.chmod(0o644)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.log.close()
            shutil.rmtree(self.state, ignore_errors=True)

    def start(self):
        self.process = subprocess.Popen(
            [PLANE, "dev", "--state", str(self.state), "--port", str(self.port),
             "--proxy-port", str(self.proxy_port), *self.arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        wait_until(self.is_ready, 30, f"plane dev ready; its log:\n{self.log_text()}")

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"plane dev ended with {self.process.returncode}:\n{self.log_text()}")
        try:
            drones = request("GET", f"{self.control}/ctrl/c/{self.cluster}/state").json["drones"]
        except (OSError, urllib.error.URLError):
            return False
        return any(drone["ready"] for drone in drones)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        return self.process.returncode if self.process else None

    def log_text(self):
        return (self.state / "dev.log").read_text()

    @property
    def control(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def cluster(self):
        return f"localhost:{self.proxy_port}"

    @property
    def cgroup(self):
        names = [name for name in os.listdir(CGROUPS) if name.startswith("plane-")]
        matching = [name for name in names if name == f"plane-{fnv1a(str(self.state))}"]
        return pathlib.Path(CGROUPS) / (matching[0] if matching else "plane-absent")

    def child(self, name):
        """Pid of the controller, drone or warden."""
        for pid in children(self.process.pid):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if name == "warden" and words[0].endswith(b"plane-warden"):
                return pid
            if len(words) > 1 and words[1] == name.encode():
                return pid
        raise AssertionError(f"no {name} below plane dev")

    def post_connect(self, body, **options):
        return request("POST", f"{self.control}/ctrl/connect", body, **options)

    def connect(self, key=None, image="python-repl", spawn=None, **fields):
        body = {"spawn_config": {"executable": {"image": image}, **(spawn or {})}, **fields}
        if key is not None:
            body["key"] = {"name": key}
        answer = self.post_connect(body)
        if answer.status != 200:
            raise AssertionError(f"connect answered {answer.status}: {answer.body.decode()}")
        return Backend(self, answer.json)

    def terminate(self, backend, kind="soft"):
        return request("POST", f"{self.control}/ctrl/b/{backend.id}/{kind}-terminate", b"null")


def copy_tree(source, target):
    """Hard links: an image is never written to."""
    subprocess.run(["cp", "-al", str(source), str(target)], check=True)


def fnv1a(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return format(value, "x")


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry))
    return found


def network_namespaces():
    """Inodes of the network namespaces that any process is in or holds open."""
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            found.add(os.readlink(f"/proc/{entry}/ns/net"))
            for number in os.listdir(f"/proc/{entry}/fd"):
                target = os.readlink(f"/proc/{entry}/fd/{number}")
                if re.fullmatch(r"net:\[\d+\]", target):
                    found.add(target)
        except OSError:
            continue
    return found
