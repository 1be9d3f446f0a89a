"""Runs modules of CPython's test suite and prints one JSON line per test case: {"case": id, "outcome": word}.

usage: python3 cases.py NAME…    a name is a module (test.test_mmap) or a case (test.test_mmap.MmapTests.test_basic)

Each name has a process of its own. What tests print goes to standard error. As with `python3 -m test`, no extra
resource (network, largefile, …) is enabled.
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

CASE_SECONDS = 120
"""A case that takes longer ends its process; those after it are missing then."""


class Outcomes(unittest.TextTestResult):
    """Tells how each case ended. The worst outcome of its parts is the case's."""

    RANKS = ("ok", "expected failure", "skipped", "unexpected success", "failed", "error")
    lines = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._outcomes = {}

    def _note(self, test, outcome):
        case = test.id()
        self._outcomes[case] = max(self._outcomes.get(case, "ok"), outcome, key=self.RANKS.index)
        if not isinstance(test, unittest.TestCase):  # a setUpClass or setUpModule, which no stopTest follows
            self._tell(case)

    def _tell(self, case):
        print(json.dumps({"case": case, "outcome": self._outcomes.pop(case)}), file=self.lines, flush=True)

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
        self._outcomes[test.id()] = "ok"

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self._tell(test.id())

    def addError(self, test, error):
        super().addError(test, error)
        self._note(test, "error")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._note(test, "failed")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._note(test, "failed" if issubclass(error[0], test.failureException) else "error")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        # A case that goes on after a skipped part has passed as far as it was run.
        case = getattr(test, "test_case", test)
        self._note(case, "skipped")

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")


def run_one(name):
    Outcomes.lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from test import support

    support.use_resources = []
    support.verbose = True
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        suite = unittest.defaultTestLoader.loadTestsFromName(name)
        unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Outcomes).run(suite)
        os.chdir("/")


def main():
    if sys.argv[1] == "--one":
        return run_one(sys.argv[2])
    for name in sys.argv[1:]:
        process = subprocess.Popen([sys.executable, __file__, "--one", name], start_new_session=True)
        process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what a case left running
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    main()
