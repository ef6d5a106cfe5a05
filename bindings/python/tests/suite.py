"""Runs the installed interpreter's own tests of multiprocessing, in place, over the stock module or over shmkit's.

    suite.py stock|ours METHOD REPORT [-- TEST...]

For each test a line of JSON goes to REPORT when it begins and when it has ended. `compare.py` starts this; children that the
tests spawn import it as their main module, so that they have shmkit in the place of the stock module as well.
"""

import faulthandler
import json
import os
import sys
import time
import unittest

#: Set for the children.
WHICH = "SHMKIT_TEST_MODULE"
METHOD = "SHMKIT_TEST_METHOD"
#: A test that takes longer hangs: the longest of the stock module's takes a tenth of it. In seconds.
LIMIT = 150

if __name__ == "__main__":
    os.environ[WHICH], os.environ[METHOD] = sys.argv[1:3]

if os.environ[WHICH] == "ours":
    from shmkit import multiprocessing as _ours

    _ours.install()

from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), os.environ[METHOD])


class Result(unittest.TextTestResult):
    """Writes down what becomes of each test."""

    report = None

    def _say(self, test, **what):
        print(json.dumps({"test": test.id().removeprefix("__main__."), **what}), file=self.report, flush=True)

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        self._say(test, state="begun")
        self._outcome, self._why, self._since = "passed", "", time.monotonic()

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self._say(test, state=self._outcome, why=self._why, seconds=time.monotonic() - self._since)
        super().stopTest(test)

    def _ends(self, outcome, why=""):
        # The worst of several counts: a subtest fails, and what tears down as well.
        if self._outcome in ("passed", "skipped"):
            self._outcome, self._why = outcome, why

    def addError(self, test, err):
        super().addError(test, err)
        if hasattr(self, "_outcome"):
            self._ends("failed", self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._ends("failed", self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._ends("failed", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._ends("skipped", reason)


def _tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def main():
    wanted = set(sys.argv[5:])
    everything = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    tests = [t for t in _tests(everything) if t.id().removeprefix("__main__.") in wanted or not wanted]
    if sys.argv[4] == "list":
        print(*(test.id().removeprefix("__main__.") for test in tests), sep="\n")
        return
    with open(sys.argv[3], "a") as report:
        Result.report = report
        unittest.TextTestRunner(resultclass=Result, verbosity=0).run(unittest.TestSuite(tests))
        # What the tests have left may keep it from ending, which is said by the log.
        faulthandler.dump_traceback_later(LIMIT / 5, exit=True)


if __name__ == "__main__":
    main()
