"""Real limits, seen through the API: to be run in the virtual machine, where every controller is on cgroup v2."""

import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))
from plane_site import CGROUPS, PLANE, PlaneSite  # noqa: E402

LIMITS = {
    "limits": {
        "memory": "128MiB", "cpus": 0.25, "cpu_weight": 50, "pids": 32, "disk": "16MiB",
        "io": {"read": "64MiB", "writes": 1000},
    },
    "readiness": {"timeout": "120s"},
}


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        controllers = (pathlib.Path(CGROUPS) / "cgroup.controllers").read_text().split()
        for name in ("memory", "cpu", "pids"):
            if name not in controllers:
                raise unittest.SkipTest(f"{name} is not on cgroup v2 here: run Tests/Guest/limits")
        cls.site = PlaneSite()
        cls.site.install_policy("python-repl.json", LIMITS)
        cls.enterClassContext(cls.site)

    def connect(self, key):
        backend = self.site.connect(key)
        backend.wait_for("ready", seconds=120)
        return backend

    def test_every_limit_is_written_and_none_is_said_to_be_missing(self):
        backend = self.connect("written")
        expected = {
            "memory.max": str(128 << 20), "memory.swap.max": "0", "cpu.max": "25000 100000", "pids.max": "32",
            "memory.oom.group": "1", "cpu.weight": "50",
        }
        for name, value in expected.items():
            try:
                self.assertEqual((backend.cgroup / name).read_text().strip(), value, name)
            except FileNotFoundError:
                self.assertEqual(name, "memory.swap.max", "only swap accounting may be absent from a kernel")
        # Of the disk that holds the image, whatever its number.
        self.assertRegex((backend.cgroup / "io.max").read_text(), r"\d+:\d+ rbps=67108864 wbps=max riops=max wiops=1000")
        self.assertNotIn("NOT ENFORCED", self.site.log_text())
        doctor = subprocess.run([PLANE, "doctor", "--state", str(self.site.state)], capture_output=True, text=True)
        rows = [line for line in doctor.stdout.splitlines() if "cgroup v2 " in line]
        self.assertEqual([row for row in rows if row.startswith("missing")], [], doctor.stdout)

    def test_a_backend_that_eats_memory_is_killed_at_memory_max_and_the_api_says_so(self):
        backend = self.connect("eater")
        with backend.repl() as client:
            client.send(type="evaluate", id=1, code="eaten = [bytearray(b'x') * (1 << 20) for _ in range(1024)]")
            entry = backend.wait_for("terminated", seconds=120)
        self.assertTrue(entry["exit_error"])
        self.assertTrue(entry["exit"]["out_of_memory"])
        self.assertEqual(entry["end_reason"], "out-of-memory")
        self.assertNotIn("termination_reason", entry, "the reference has no reason for it")
        # It was killed for reaching the limit, so the peak is the limit; a page or two may have been given back.
        self.assertAlmostEqual(entry["usage"]["memory_peak_bytes"], 128 << 20, delta=4 << 20)
        self.assertGreater(entry["usage"]["cpu_microseconds"], 0)
        self.assertIn("memory", entry["message"])
        successor = self.connect("eater")
        self.assertEqual(successor.value("6 * 7"), 42)

    def test_all_processes_together_use_the_processor_time_they_may_and_the_api_says_so(self):
        limits = {"cpu_time_limit": 15}
        backend = self.site.connect(
            "burner", spawn={"executable": {"image": "python-repl", "resource_limits": limits}})
        backend.wait_for("ready", seconds=120)
        with backend.repl() as client:
            # Two of them: neither gets to the limit that each process has by itself.
            client.send(type="evaluate", id=1, code="import os\nos.fork()\nwhile True: pass")
            entry = backend.wait_for("terminated", seconds=180)
        self.assertEqual(entry["end_reason"], "cpu-time")
        self.assertIn("processor time", entry["message"])
        self.assertGreaterEqual(entry["usage"]["cpu_microseconds"], 15_000_000)
        self.assertLess(entry["usage"]["cpu_microseconds"], 20_000_000)

    def test_a_fork_bomb_stops_at_pids_max(self):
        backend = self.connect("bomb")
        # The server needs a thread for each connection, so the bomb is cleared by the code that sets it off.
        backend.run("""
import os, signal
born, why = [], None
for _ in range(1000):
    try:
        pid = os.fork()
    except OSError as error:
        why = error.errno
        break
    if pid == 0:
        signal.pause()
    born.append(pid)
for pid in born:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""")
        self.assertEqual(backend.value("why"), 11, "EAGAIN")
        # The init, the server and its threads count too.
        self.assertLess(backend.value("len(born)"), 32)
        self.assertGreater(backend.value("len(born)"), 8)
        self.assertGreater(int((backend.cgroup / "pids.events").read_text().split()[1]), 0, "pids.max was never hit")
        self.assertEqual(backend.value("6 * 7"), 42)

    def test_a_busy_loop_gets_its_share_of_a_processor_and_no_more(self):
        backend = self.connect("busy")

        def used():
            return int((backend.cgroup / "cpu.stat").read_text().split()[1])

        with backend.repl() as client:
            client.send(type="evaluate", id=1, code="while True: pass")
            while used() == used():
                pass
            began, before = time.monotonic(), used()
            time.sleep(6)
            share = (used() - before) / 1e6 / (time.monotonic() - began)
            client.send(type="interrupt")
        print(f"cpu.max 0.25: the loop got {share:.3f} of a processor")
        # The kernel may run a period over by one slice of each processor; a second quota would be 0.5.
        self.assertLess(share, 0.35)
        self.assertGreater(share, 0.10)
        self.assertGreater(int(dict(line.split() for line in (backend.cgroup / "cpu.stat").read_text().splitlines())
                               ["nr_throttled"]), 0)

    def test_the_writable_layer_ends_at_its_size(self):
        backend = self.connect("writer")
        backend.run("""
why = None
try:
    with open('/tmp/big', 'wb') as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
except OSError as error:
    why = error.errno
""")
        self.assertEqual(backend.value("why"), 28, "ENOSPC")


if __name__ == "__main__":
    unittest.main()
