"""What code in the REPL finds when it looks around, and what it cannot do."""

import os
import pathlib
import unittest

from plane_site import PlaneSite

CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    ctypes.set_errno(0)
    result = libc.syscall(number, *words)
    return errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno()) if result < 0 else result
"""


class Isolation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(PlaneSite())
        cls.backend = cls.site.connect("inside")
        cls.backend.run(CALL)

    def test_only_its_own_processes_are_visible(self):
        seen = self.backend.value("[int(name) for name in __import__('os').listdir('/proc') if name.isdigit()]")
        own = self.backend.value("__import__('os').getpid()")
        self.assertEqual(seen, [own])

    def test_only_loopback_exists(self):
        self.assertEqual(self.backend.value("[name for _, name in __import__('socket').if_nameindex()]"), ["lo"])

    def test_the_controller_of_the_host_is_unreachable(self):
        for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8"):
            self.backend.run(f"""
import socket
probe = socket.socket()
probe.settimeout(2)
try:
    probe.connect(({host!r}, {self.site.port}))
    reached = True
except OSError as error:
    reached = error.errno
""")
            self.assertIsInstance(self.backend.value("reached"), int)
            self.assertIsNot(self.backend.value("reached"), True)

    def test_system_calls_that_open_ways_out_are_refused(self):
        calls = {
            "unshare(CLONE_NEWUSER)": "call(272, 0x10000000)",
            "mount": "call(165, 0, b'/tmp', 0, 4096, 0)",
            "ptrace(PTRACE_TRACEME)": "call(101, 0, 0, 0, 0)",
            "bpf": "call(321, 0, 0, 0)",
            "io_uring_setup": "call(425, 1, 0)",
            "keyctl": "call(250, 0, -3, 0)",
            "setns": "call(308, 0, 0)",
            "open_by_handle_at": "call(304, 0, 0, 0)",
            "perf_event_open": "call(298, 0, 0, 0, 0, 0)",
            "userfaultfd": "call(323, 0)",
            "chroot": "call(161, b'/')",
        }
        for name, code in calls.items():
            self.assertIn(self.backend.value(code), ("EPERM", "ENOSYS"), name)
        self.assertEqual(self.backend.value("call(435, 0, 0)"), "ENOSYS", "clone3, so that glibc falls back")
        self.assertEqual(self.backend.value("call(9999)"), "ENOSYS")

    def test_it_has_no_privilege(self):
        status = self.backend.run("print(open('/proc/self/status').read())")
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertIn(f"{name}:\t0000000000000000", status)
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("Groups:\t \n", status)

    def test_files_written_are_gone_with_it(self):
        backend = self.site.connect("writer")
        self.assertEqual(backend.run("open('/tmp/mine', 'w').write('x'); print(open('/tmp/mine').read())"), "x\n")
        self.site.terminate(backend, "hard")
        backend.wait_for("terminated")
        successor = self.site.connect("writer")
        self.assertFalse(successor.value("__import__('os').path.exists('/tmp/mine')"))
        self.assertFalse((self.site.state / "images/python-repl/rootfs/tmp/mine").exists())

    def test_two_backends_share_nothing(self):
        other = self.site.connect("other")
        self.backend.run("open('/dev/shm/note', 'w').write('x'); open('/tmp/note', 'w').write('x')")
        self.assertFalse(other.value("__import__('os').path.exists('/dev/shm/note')"))
        self.assertFalse(other.value("__import__('os').path.exists('/tmp/note')"))
        ranges = {os.stat(f"/proc/{backend.processes()[-1]}").st_uid >> 16 for backend in (self.backend, other)}
        self.assertEqual(len(ranges), 2)

    def test_the_host_sees_its_processes_under_ids_of_its_own_range(self):
        for pid in self.backend.processes():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            uid = int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])
            self.assertGreaterEqual(uid, 0x1000_0000)
        first = int(self.backend.value("open('/proc/self/uid_map').read()").split()[1])
        self.assertGreaterEqual(first, 0x1000_0000)
        self.assertEqual(first % 65536, 0)

    def test_no_secret_of_the_host_is_in_its_environment_or_descriptors(self):
        names = set(self.backend.value("list(__import__('os').environ)"))
        allowed = {
            "HOME", "LANG", "PATH", "USER", "PORT", "SESSION_BACKEND_ID", "SESSION_BACKEND_KEY",
            "SESSION_BACKEND_FENCING_TOKEN", "PYTHONUNBUFFERED", "LC_CTYPE",
        }
        self.assertLessEqual(names, allowed)
        kinds = self.backend.value(
            "[__import__('os').readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2)]")
        self.assertEqual(kinds, ["/dev/null", "pipe", "pipe"])

    def test_its_init_has_none_of_the_wardens_memory(self):
        """pid 1 is exec'ed anew: neither another backend's environment nor a path of the state folder is in it."""
        marker = "marker-of-another-backend"
        other = self.site.connect(
            "secret", spawn={"executable": {"image": "python-repl", "env": {"SECRET": marker}}})
        other.get()
        backend = self.site.connect("after-the-secret")
        backend.get()
        init = min(backend.processes())
        found = memory_of(init)
        self.assertNotIn(marker.encode(), found)
        self.assertNotIn(str(self.site.state).encode(), found)
        self.assertIn(marker.encode(), memory_of(max(other.processes())), "the search itself finds what is there")


def memory_of(pid):
    """Every writable page of a process, as root on the host reads it."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if "r" not in rights or "w" not in rights:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            try:
                parts.append(memory.read(end - start))
            except OSError:
                continue
    return b"".join(parts)


if __name__ == "__main__":
    unittest.main()
