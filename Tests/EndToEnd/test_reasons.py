"""Each way a backend can end, brought about for real: its reason, its sentence and what it used, wherever it is told.

Out of memory is in Tests/Guest: it takes a machine whose memory controller is on cgroup v2.
"""

import json
import os
import pathlib
import signal
import subprocess
import unittest

from plane_site import PLANE, PlaneSite, copy_tree, request, wait_until

FIELDS = {"status", "termination_reason", "termination_kind", "exit_error", "time"}
ADDED = {"exit", "message", "end_reason", "fencing_token", "usage"}


def add_image(site, name, command, policy=None):
    """An image with python-repl's tree and another command."""
    folder = site.state / "images" / name
    copy_tree(site.state / "images" / "python-repl", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"name": name, "command": command}
    (folder / "manifest.json").unlink()  # it is a hard link
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "manifest.json").chmod(0o644)
    site.install_policy(f"{name}.json", policy or {})


def told_on_the_command_line(site, backend):
    return subprocess.run(
        [PLANE, "status", "--controller", site.control, backend.id], capture_output=True, text=True, check=True).stdout


class ReasonTests(unittest.TestCase):
    """What is asserted of every end."""

    def assert_ended(self, backend, reason, termination=None, seconds=30):
        """- Returns: the last line of its history, after it was compared wherever it is told."""
        entry = backend.wait_for("terminated", seconds=seconds)
        self.assertEqual(entry["end_reason"], reason, entry)
        self.assertEqual(entry.get("termination_reason"), termination, entry)
        self.assertLessEqual(entry.keys(), FIELDS | ADDED)
        self.assertTrue(entry["message"])
        stream = request("GET", backend.answer["status_url"] + "-stream").body.decode()
        last = [line for line in stream.splitlines() if line.startswith("data:")][-1]
        # A line of history is of the state alone; the status is of the backend, too.
        self.assertEqual(entry["fencing_token"], backend.answer["fencing_token"])
        told = {name: value for name, value in entry.items() if name != "fencing_token"}
        self.assertEqual(json.loads(last.removeprefix("data:")), told)
        rows = request("GET", f"{backend.site.control}/ctrl/backends?state=all&limit=1000").json["backends"]
        row = next(row for row in rows if row["id"] == backend.id)
        for name in ("end_reason", "message", "usage"):
            self.assertEqual(row.get(name), entry.get(name))
        text = told_on_the_command_line(backend.site, backend)
        self.assertIn(f"({reason}: {entry['message']})", text)
        self.assertEqual("It used " in text, "usage" in entry)
        return entry


class Ends(ReasonTests):
    @classmethod
    def setUpClass(cls):
        cls.site = PlaneSite()
        asleep = "import signal; print('asleep', flush=True); signal.pause()"
        add_image(cls.site, "silent", ["/usr/bin/python3", "-c", asleep], {"readiness": {"timeout": "2s"}})
        add_image(cls.site, "broken", ["/usr/bin/no-such-program"])
        busy = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
        add_image(cls.site, "busy", ["/usr/bin/python3", "-c", busy], {"limits": {"cpu_time": "1h"}})
        add_image(cls.site, "brief", ["/usr/bin/python3", "-c", "import sys; sys.exit('no config')"])
        cls.enterClassContext(cls.site)

    def crash(self, key, code):
        backend = self.site.connect(key)
        with backend.repl() as client:
            client.send(type="evaluate", id=1, code=code)
            backend.wait_for("terminated")
        return backend

    def test_an_exit(self):
        entry = self.assert_ended(self.crash("exit", "import os; os._exit(3)"), "exited")
        self.assertEqual(entry["exit"], {"code": 3, "out_of_memory": False})
        self.assertTrue(entry["exit_error"])
        self.assertGreater(entry["usage"]["cpu_microseconds"], 0)

    def test_an_exit_before_it_was_ready_with_what_it_wrote(self):
        entry = self.assert_ended(self.site.connect("brief", image="brief"), "exited")
        self.assertIn("no config", entry["message"])

    def test_a_signal(self):
        entry = self.assert_ended(self.crash("signal", "import os; os.abort()"), "signaled")
        self.assertEqual(entry["exit"], {"signal": 6, "out_of_memory": False})
        self.assertTrue(entry["exit_error"])

    def test_a_kill_from_outside(self):
        backend = self.site.connect("killed")
        backend.wait_for("ready")
        init = next(pid for pid in backend.processes() if namespace_pid(pid) == 1)
        os.kill(init, signal.SIGKILL)
        self.assertTrue(self.assert_ended(backend, "killed")["exit_error"])

    def test_processor_time_of_all_its_processes_together(self):
        # Eight loops on a few processors: no process of them comes near the limit of each, which RLIMIT_CPU is.
        executable = {"image": "busy", "resource_limits": {"cpu_time_limit": 2}}
        entry = self.assert_ended(self.site.connect("busy", spawn={"executable": executable}), "cpu-time")
        self.assertEqual((entry["termination_kind"], entry["exit_error"]), ("hard", True))
        self.assertIn("limit of total processor time", entry["message"])
        self.assertGreaterEqual(entry["usage"]["cpu_microseconds"], 2_000_000)

    def test_a_start_that_failed(self):
        entry = self.assert_ended(self.site.connect("broken", image="broken"), "start-failed", "internalerror")
        self.assertIn("no-such-program", entry["message"])
        self.assertNotIn("usage", entry)

    def test_a_startup_timeout(self):
        entry = self.assert_ended(self.site.connect("silent", image="silent"), "startup-timeout", "startuptimeout")
        self.assertIn("within 2 s", entry["message"])
        self.assertIn("asleep", entry["message"])

    def test_an_idle_sweep(self):
        backend = self.site.connect("idle", spawn={"max_idle_seconds": 1})
        entry = self.assert_ended(backend, "swept", "swept")
        self.assertIn("for 1 s", entry["message"])
        self.assertFalse(entry["exit_error"])

    def test_a_lifetime(self):
        backend = self.site.connect("lifetime", spawn={"lifetime_limit_seconds": 2})
        self.assertIn("lifetime", self.assert_ended(backend, "swept", "swept")["message"])

    def test_an_end_that_was_asked_for(self):
        for kind in ("soft", "hard"):
            backend = self.site.connect(f"external-{kind}")
            backend.wait_for("ready")
            self.site.terminate(backend, kind)
            entry = self.assert_ended(backend, "external", "external")
            self.assertEqual(entry["termination_kind"], kind)

    def test_a_request_beyond_the_policy_is_refused_at_once_with_both_values(self):
        asked = (1 << 40) + 1
        for field, spawn in (
            ("executable.resource_limits.memory_limit_bytes",
             {"executable": {"image": "python-repl", "resource_limits": {"memory_limit_bytes": asked}}}),
            ("executable.resource_limits.disk_limit_bytes",
             {"executable": {"image": "python-repl", "resource_limits": {"disk_limit_bytes": asked}}}),
        ):
            answer = self.site.post_connect({"key": {"name": "greedy"}, "spawn_config": spawn})
            self.assertEqual(answer.status, 400, answer.body)
            message = answer.json["message"]
            self.assertIn(f"spawn_config.{field}: {asked} was asked for", message)
            self.assertRegex(message, r"allows 1 to \d+\.$")
        rows = request("GET", f"{self.site.control}/ctrl/backends?state=all&limit=1000").json["backends"]
        self.assertNotIn("greedy", [row["key"]["name"] for row in rows])


class PolicyEnds(ReasonTests):
    """What a policy says of lifetime, idle time and readiness holds without the request's help."""

    @classmethod
    def setUpClass(cls):
        cls.site = PlaneSite()
        for name, policy in (
            ("mayfly", {"lifetime": "3s"}), ("drowsy", {"idle": "1s"}),
            ("picky", {"readiness": {"path": "/no/such/page", "timeout": "3s"}}),
            ("well", {"readiness": {"path": "/"}}),
        ):
            add_image(cls.site, name, ["/usr/bin/python3", "-I", "/opt/repl/server.py"], policy)
        cls.enterClassContext(cls.site)

    def test_a_lifetime(self):
        backend = self.site.connect("mayfly", image="mayfly")
        self.assertIn("lifetime", self.assert_ended(backend, "swept", "swept")["message"])

    def test_an_idle_time(self):
        backend = self.site.connect("drowsy", image="drowsy")
        self.assertIn("for 1 s", self.assert_ended(backend, "swept", "swept")["message"])

    def test_more_of_either_is_refused(self):
        for image, field, allowed in (("mayfly", "lifetime_limit_seconds", 3), ("drowsy", "max_idle_seconds", 1)):
            answer = self.site.post_connect({"spawn_config": {"executable": {"image": image}, field: 3600}})
            self.assertEqual(answer.status, 400, answer.body)
            self.assertEqual(
                answer.json["message"],
                f"spawn_config.{field}: 3600 was asked for, but the image's policy allows 1 to {allowed}.")

    def test_a_path_that_is_not_answered_well_is_not_ready(self):
        entry = self.assert_ended(self.site.connect("picky", image="picky"), "startup-timeout", "startuptimeout")
        self.assertIn("HEAD /no/such/page", entry["message"])
        self.assertIn("status 404", entry["message"])

    def test_a_path_that_is_answered_well_is_ready(self):
        self.site.connect("well", image="well").wait_for("ready")


class Losses(ReasonTests):
    def test_a_machine_that_went_down_lost_its_backends(self):
        with PlaneSite() as site:
            backend = site.connect("lost")
            backend.wait_for("ready")
            processes = backend.processes()
            site.process.kill()
            site.process.wait(30)
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in processes), 10, "the sandbox gone")
            wait_until(lambda: not plane_processes(site), 10, "what plane dev started gone")
            site.start()
            self.assert_ended(backend, "lost", "lost")

    def test_a_drone_without_its_controller_ends_its_backends(self):
        times = ("--lease-renew-ms", "300", "--lease-soft-ms", "1000", "--lease-hard-ms", "3000",
                 "--lease-expiry-ms", "60000")
        with PlaneSite(*times) as site:
            backend = site.connect("leased")
            backend.wait_for("ready")
            self.assertTrue(backend.cgroup.exists())
            cgroup, controller = backend.cgroup, site.child("controller")
            os.kill(controller, signal.SIGSTOP)
            try:
                wait_until(lambda: not cgroup.exists(), 20, "the backend ended for want of a lease")
            finally:
                os.kill(controller, signal.SIGCONT)
            self.assertIn("controller", self.assert_ended(backend, "lease-expired", "keyexpired")["message"])


def namespace_pid(pid):
    """Its number in the innermost pid namespace. proc(5), NSpid."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])


def plane_processes(site):
    """Host pids of the programs that serve the site's state folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(str(site.state).encode() in word for word in words):
                found.append(int(entry))
    return found


if __name__ == "__main__":
    unittest.main()
