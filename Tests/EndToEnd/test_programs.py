"""What the two programs need of a machine that runs them."""

import os
import pathlib
import subprocess
import unittest

from plane_site import PLANE, PlaneSite, WARDEN


class Programs(unittest.TestCase):
    def libraries(self, program):
        done = subprocess.run(["ldd", program], capture_output=True, text=True)
        return done.stdout + done.stderr

    def test_plane_needs_no_library_of_the_toolchain(self):
        needed = self.libraries(PLANE)
        self.assertIn("libc.so", needed)
        for name in ("swift", "Foundation", "dispatch", "not found", "/opt/"):
            self.assertNotIn(name, needed)

    def test_the_warden_needs_no_library_at_all(self):
        self.assertIn("not a dynamic executable", self.libraries(WARDEN))

    def test_the_warden_has_no_json_and_no_foundation_in_it(self):
        symbols = subprocess.run(["nm", WARDEN], capture_output=True, text=True, check=True).stdout
        self.assertTrue("WardenProtocol" in symbols, "the search itself finds what is there")
        found = [name for name in ("FoundationEssentials", "JSONDecoder", "seccomp_init") if name in symbols]
        self.assertEqual(found, [])

    def test_the_processes_are_who_they_should_be(self):
        with PlaneSite() as site:
            site.connect("threads").get()
            self.assertEqual(len(os.listdir(f"/proc/{site.child('warden')}/task")), 1, "the warden has one thread")
            for name, root in (("warden", True), ("drone", False), ("controller", False)):
                status = pathlib.Path(f"/proc/{site.child(name)}/status").read_text()
                fields = dict(line.split(":", 1) for line in status.splitlines())
                self.assertEqual(fields["Uid"].split() == ["0"] * 4, root, name)
                if not root:
                    self.assertEqual(fields["CapEff"].strip(), "0" * 16, name)
                    self.assertEqual(fields["Groups"].strip(), "", name)
            sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
            self.assertNotIn(f"pid={site.child('warden')},", sockets, "the warden listens on no network")


if __name__ == "__main__":
    unittest.main()
