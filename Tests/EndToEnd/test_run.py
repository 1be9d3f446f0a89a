"""plane run with a terminal of its own, as a person uses it."""

import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import struct
import tempfile
import termios
import time
import unittest

from plane_site import PLANE


class Terminal:
    """`plane run --tty` on a terminal whose other side the test holds."""

    def __init__(self, words):
        self.text = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(PLANE, [PLANE, *words])
        self.resize(33, 77)
        self.before = self.settings()

    def settings(self):
        return termios.tcgetattr(self.master)[:4]

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read_until(self, word, seconds=20):
        deadline = time.monotonic() + seconds
        while word.encode() not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {word!r} in {self.text[-500:]!r}")
            self.text += os.read(self.master, 4096)

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class RunWithTerminal(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="plane-run-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        programs = self.folder / "root/bin"
        programs.mkdir(parents=True)
        shutil.copy("/bin/busybox", programs / "busybox")
        for name in ("sh", "stty", "tty", "sleep"):
            (programs / name).symlink_to("busybox")

    def words(self, *flags):
        state = str(self.folder / "state")
        return ["run", "--rootfs", str(self.folder / "root"), "--state", state, "--allow-missing-controllers",
                "--tty", *flags, "--", "sh"]

    def test_the_command_has_a_terminal_that_follows_the_one_outside(self):
        report = self.folder / "report.json"
        terminal = Terminal(self.words("--json-to", str(report)))
        terminal.read_until("$ ")
        terminal.type("tty; stty size\n")
        terminal.read_until("/dev/pts/0")
        terminal.read_until("33 77")
        self.assertNotEqual(terminal.settings(), terminal.before, "raw while the command runs")
        # The program that waits for the change is the one that the kernel tells of it.
        terminal.type("sh -c 'trap \"stty size; exit\" WINCH; echo waits-$((1 + 1)); while :; do sleep 1; done'\n")
        terminal.read_until("waits-2")
        terminal.resize(44, 88)
        terminal.read_until("44 88")
        terminal.type("sh -c 'echo sleeps-$((1 + 1)); sleep 1000'\n")
        terminal.read_until("sleeps-2")
        terminal.type("\x03")
        terminal.read_until("^C")
        terminal.type("echo alive-$((1 + 1))\n")
        terminal.read_until("alive-2")
        terminal.type("exit 5\n")
        self.assertEqual(terminal.status(), 5)
        self.assertEqual(terminal.settings(), terminal.before, "as it was")
        self.assertEqual(json.loads(report.read_text())["code"], 5)

    def test_the_terminal_outside_is_as_before_when_the_command_is_killed(self):
        terminal = Terminal(self.words("--timeout", "2s"))
        terminal.read_until("$ ")
        terminal.read_until("its lifetime of 2 s is over")
        self.assertEqual(terminal.status(), 137)
        self.assertEqual(terminal.settings(), terminal.before)


if __name__ == "__main__":
    unittest.main()
