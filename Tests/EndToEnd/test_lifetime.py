"""How backends end, and that nothing of them is left."""

import os
import pathlib
import signal
import time
import unittest

from plane_site import PlaneSite, children, network_namespaces, request, wait_until


def mounts():
    """Mounts that any process of the host sees, by what is mounted where; sandboxes' own tables count as theirs."""
    return sorted(
        (fields[4], fields[fields.index("-") + 1])
        for fields in (line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()))


class Lifetime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # None kept ready: what is there is what the tests asked for.
        cls.site = cls.enterClassContext(PlaneSite("--pool", "0"))

    def assert_nothing_is_left(self, backend, processes, namespaces):
        self.assertFalse(backend.cgroup.exists(), "its cgroup is left")
        self.assertEqual([pid for pid in processes if os.path.exists(f"/proc/{pid}")], [], "processes are left")
        wait_until(
            lambda: network_namespaces() <= namespaces, 5, "its network namespace gone (a process or socket holds it)")

    def test_an_idle_backend_is_swept_and_one_with_an_open_websocket_is_not(self):
        before, namespaces = mounts(), network_namespaces()
        spawn = {"max_idle_seconds": 5}
        watched = self.site.connect("watched", spawn=spawn)
        idle = self.site.connect("idle", spawn=spawn)
        with watched.repl() as client:
            started = time.monotonic()
            self.assertEqual(client.value("1 + 1"), "2")
            idle.wait_for("ready")
            processes = idle.processes()
            self.assertGreaterEqual(len(processes), 2, "init and command")
            entry = idle.wait_for("terminated", seconds=12)
            self.assertEqual(entry["termination_reason"], "swept")
            self.assertEqual(idle.get().status, 410)
            while time.monotonic() < started + 30:
                self.assertEqual(watched.status()["status"], "ready")
                time.sleep(1)
            self.assertEqual(client.value("2 + 2"), "4")
            watched_processes = watched.processes()
        watched.wait_for("terminated", seconds=12)
        self.assert_nothing_is_left(idle, processes, namespaces)
        self.assert_nothing_is_left(watched, watched_processes, namespaces)
        self.assertEqual(mounts(), before)

    def test_a_request_in_flight_keeps_its_backend_alive(self):
        backend = self.site.connect("streaming", spawn={"max_idle_seconds": 2})
        # Forty events, one each 0.2 s: four idle times, during which nothing but this one answer is under way.
        answer = backend.get("sse?count=40", timeout=60)
        self.assertEqual(answer.body.count(b"data:"), 40)
        self.assertEqual(backend.wait_for("terminated", seconds=12)["termination_reason"], "swept")

    def test_a_lifetime_ends(self):
        backend = self.site.connect("short", spawn={"lifetime_limit_seconds": 3})
        with backend.repl():
            entry = backend.wait_for("terminated", seconds=10)
        self.assertEqual(entry["termination_reason"], "swept")

    def test_soft_termination_lets_the_command_clean_up_and_hard_does_not(self):
        soft = self.site.connect("soft")
        soft.get()
        self.assertEqual(self.site.terminate(soft, "soft").json, None)
        entry = soft.wait_for("terminated")
        self.assertEqual((entry["termination_reason"], entry["termination_kind"]), ("external", "soft"))
        self.assertFalse(entry["exit_error"])
        hard = self.site.connect("hard")
        hard.get()
        self.site.terminate(hard, "hard")
        entry = hard.wait_for("terminated", seconds=5)
        self.assertEqual((entry["termination_reason"], entry["termination_kind"]), ("external", "hard"))

    def test_a_command_that_ends_by_itself_is_reported_with_its_status(self):
        backend = self.site.connect("crash")
        with backend.repl() as client:
            client.send(type="evaluate", id=1, code="import os; os._exit(3)")
            entry = backend.wait_for("terminated")
        self.assertTrue(entry["exit_error"])
        self.assertEqual(entry["exit"]["code"], 3)
        self.assertIn("3", entry["message"])

    def test_the_key_is_free_again_once_its_backend_has_ended(self):
        first = self.site.connect("again")
        first.get()
        self.site.terminate(first, "hard")
        second = self.site.connect("again")
        self.assertNotEqual(first.id, second.id)
        self.assertTrue(second.answer["spawned"])
        self.assertEqual(second.get().status, 200)


class Faults(unittest.TestCase):
    def test_a_killed_warden_takes_every_sandbox_along(self):
        with PlaneSite() as site:
            backend = site.connect("doomed")
            backend.get()
            processes, cgroup = backend.processes(), site.cgroup
            os.kill(site.child("warden"), signal.SIGKILL)
            wait_until(
                lambda: not any(os.path.exists(f"/proc/{pid}") for pid in processes), 5, "the sandbox's processes gone")
            self.assertEqual(site.process.wait(30), 1, "plane dev ends with its warden")
            self.assertIn("the warden was ended by signal 9", site.log_text())
            self.assertFalse(cgroup.exists(), "a cgroup is left")

    def test_after_ctrl_c_nothing_is_left(self):
        before, namespaces = mounts(), network_namespaces()
        with PlaneSite() as site:
            backend = site.connect("left")
            backend.get()
            everything = children(site.process.pid) + backend.processes()
            cgroup = site.cgroup
            self.assertTrue(cgroup.exists())
            self.assertEqual(site.stop(), 0)
            self.assertEqual([pid for pid in everything if os.path.exists(f"/proc/{pid}")], [])
            self.assertFalse(cgroup.exists())
            self.assertEqual([path.name for path in (site.state / "run").iterdir() if path.name.endswith(".sock")], [])
        self.assertEqual(mounts(), before)
        self.assertLessEqual(network_namespaces(), namespaces)

    def test_two_sites_run_side_by_side(self):
        with PlaneSite() as one, PlaneSite() as other:
            first, second = one.connect("same"), other.connect("same")
            self.assertNotEqual(first.id, second.id)
            self.assertEqual((first.value("'a'"), second.value("'b'")), ("a", "b"))
            owners = [os.stat(f"/proc/{backend.processes()[0]}").st_uid >> 16 for backend in (first, second)]
            self.assertNotEqual(owners[0], owners[1])


if __name__ == "__main__":
    unittest.main()
