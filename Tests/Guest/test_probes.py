"""The probe of Tests/Probes on Debian's kernel: what it gets through to as root, and what of that from a sandbox."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))
from plane_site import PLANE  # noqa: E402

MODULES = pathlib.Path("/run/guest/modules")
DISK = pathlib.Path(os.environ.get("PLANE_TEST_FOLDER", "/nowhere"))

# What a development machine's kernel may lack, so that there nothing could be seen of its defence.
# Tests/SandboxTests/ProbeProofs.swift names the same.
OPEN_TO_ROOT = """
    init-module finit-module delete-module kexec-load kexec-file-load iopl ioperm set-mm raise-limits oom-score
    af-alg af-vsock kernel-tls af-key af-can af-tipc af-kcm af-qipcrtr af-smc af-rds af-phonet sctp dccp
    modprobe-path binfmt-misc max-user-namespaces sysrq-trigger proc-kcore proc-modules
""".split()


def findings(output):
    found = {}
    for line in output.splitlines():
        name, verdict, detail = (line.split(" ", 2) + ["", ""])[:3]
        if verdict in ("SAFE", "OPEN", "INFO"):
            found[name] = (verdict, detail)
    return found


class Probes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not MODULES.is_dir():
            raise unittest.SkipTest("the modules are the virtual machine's: run Tests/Guest/limits")
        cls.absent = []
        for module in (MODULES / "list").read_text().split():
            done = subprocess.run(["/run/guest/busybox", "insmod", str(MODULES / f"{module}.ko")], capture_output=True)
            if done.returncode != 0:
                cls.absent.append(module)
        subprocess.run(["mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"], capture_output=True)
        words = [str(DISK / "probe-host"), "host", str(DISK / "probe/probe-canaries")]
        environment = dict(os.environ, PLANE_PROBE_FACTS=str(DISK / "probe/probe-canaries"))
        as_root = subprocess.run([*words, str(DISK / "probe-host"), *OPEN_TO_ROOT], capture_output=True, text=True,
                                 env=environment, timeout=120)
        cls.as_root = findings(as_root.stdout)
        inside = subprocess.run(
            [*words, PLANE, "run", "--rootfs", str(DISK / "probe"), "--state", "/var/lib/plane/probes", "--", "/probe"],
            capture_output=True, text=True, timeout=300)
        cls.inside, cls.errors = findings(inside.stdout), inside.stderr

    def test_the_modules_are_loaded(self):
        self.assertEqual(self.absent, [])

    def test_what_this_kernel_offers_is_open_to_root(self):
        for name in OPEN_TO_ROOT:
            with self.subTest(name):
                self.assertEqual(self.as_root.get(name, ("", "no such line"))[0], "OPEN", self.as_root.get(name))

    def test_nothing_is_open_in_a_sandbox(self):
        self.assertGreater(len(self.inside), 150, self.errors)
        self.assertEqual({name: found for name, found in self.inside.items() if found[0] == "OPEN"}, {})


if __name__ == "__main__":
    unittest.main()
