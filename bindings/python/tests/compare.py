#!/usr/bin/env python3
"""Compares shmkit.multiprocessing with the stock module by the interpreter's own tests of it.

    compare.py [--fast] [--methods fork,spawn,forkserver] [--only PATTERN] [--table FILE]

Both run at a time, with each start method, in processes of their own (`suite.py`). It fails if a test fails over shmkit that
passes over the stock module, or if one takes more than twice as long.
"""

import argparse
import collections
import fnmatch
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
#: What is checked at each push: what shmkit makes itself, where the tests take seconds.
FAST = [
    "WithProcessesTest" + name
    for name in ("Lock", "Semaphore", "Condition", "Event", "Barrier", "Value", "Array", "SharedCTypes", "Queue", "Pool")
] + ["WithProcessesTest" + name for name in ("Connection", "Poll", "PicklingConnections")] + ["TestSimpleQueue", "TestWait"]
#: A test takes twice as long if it takes so many seconds more than that, too: what starts processes varies by as much.
GRACE = 1.0
#: For one implementation with one start method, in seconds.
LIMIT = 1500


class Run:
    """One implementation with one start method."""

    def __init__(self, which, method, tests, folder):
        self.which, self.method = which, method
        self.report = pathlib.Path(folder, f"{which}-{method}.jsonl")
        self.log = pathlib.Path(folder, f"{which}-{method}.log")
        self.outcomes = {}
        self._left = list(tests)
        self._end = time.monotonic() + LIMIT

    def start(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self):
        self._thread.join()

    def _run(self):
        # A test that hangs ends its process: the others run in another one.
        while self._left and time.monotonic() < self._end:
            self.report.write_text("")
            self._run_once()
            begun = self._read()
            if begun is None and self._left == (left := self._without_outcome()):
                break
            if begun is not None:
                self.outcomes[begun] = {"state": "hung", "why": f"see {self.log}", "seconds": 0.0}
            self._left = self._without_outcome()
        for test in self._left:
            self.outcomes.setdefault(test, {"state": "missing", "why": f"see {self.log}", "seconds": 0.0})

    def _without_outcome(self):
        return [test for test in self._left if test not in self.outcomes]

    def _run_once(self):
        command = [sys.executable, str(HERE / "suite.py"), self.which, self.method, str(self.report), "--", *self._left]
        with open(self.log, "a") as log:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.report.parent
            )
            try:
                child.wait(max(1.0, self._end - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                # With what its tests have left.
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.wait()

    def _read(self):
        begun = None
        for line in self.report.read_text().splitlines():
            said = json.loads(line)
            test = said.pop("test")
            if said["state"] == "begun":
                begun = test
            else:
                self.outcomes[test], begun = said, None
        return begun


def listed(method):
    command = [sys.executable, str(HERE / "suite.py"), "stock", method, os.devnull, "list"]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.split()


def worse(stock, ours):
    """What is wrong with a test over shmkit, or nothing."""
    if ours["state"] not in ("passed", "skipped") and stock["state"] in ("passed", "skipped"):
        return ours["state"]
    if ours["state"] == "skipped" and stock["state"] == "passed":
        return "skipped"
    if ours["state"] == stock["state"] == "passed" and ours["seconds"] > 2 * stock["seconds"] + GRACE:
        return f"slow: {ours['seconds']:.1f} s, stock {stock['seconds']:.1f}"
    return None


def table(methods, stock, ours):
    """For each class: how many pass, and in how many seconds."""
    lines = ["| class | method | stock passes | ours passes | stock s | ours s |", "| --- | --- | --- | --- | --- | --- |"]
    for method in methods:
        classes = collections.defaultdict(lambda: [0, 0, 0.0, 0.0])
        for test, outcome in stock[method].items():
            sums = classes[test.split(".")[0]]
            other = ours[method][test]
            sums[0] += outcome["state"] == "passed"
            sums[1] += other["state"] == "passed"
            sums[2] += outcome["seconds"]
            sums[3] += other["seconds"]
        for name, (a, b, c, d) in sorted(classes.items()):
            lines.append(f"| {name} | {method} | {a} | {b} | {c:.1f} | {d:.1f} |")
        passes = [sum(o["state"] == "passed" for o in which[method].values()) for which in (stock, ours)]
        times = [sum(o["seconds"] for o in which[method].values()) for which in (stock, ours)]
        lines.append(f"| **all** | {method} | {passes[0]} | {passes[1]} | {times[0]:.1f} | {times[1]:.1f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="what is checked at each push, in less than three minutes")
    parser.add_argument("--methods", default="fork,spawn,forkserver", help="start methods")
    parser.add_argument("--only", action="append", help="tests whose name matches, as WithProcessesTestLock.*")
    parser.add_argument("--table", help="where the table goes to, as Markdown")
    options = parser.parse_args()
    try:
        import test._test_multiprocessing
    except ImportError:
        print(
            "NOTHING WAS COMPARED: this interpreter has no test._test_multiprocessing "
            "(Debian: apt-get install libpython3-testsuite)",
            file=sys.stderr,
        )
        return 2
    methods = options.methods.split(",")
    patterns = options.only or ([f"{name}.*" for name in FAST] if options.fast else ["*"])
    folder = tempfile.mkdtemp(prefix="shmkit-cpython-")
    print(f"Python {sys.version.split()[0]}, {test._test_multiprocessing.__file__}; logs in {folder}")
    runs = {}
    for method in methods:
        tests = [t for t in listed(method) if any(fnmatch.fnmatch(t, p) for p in patterns)]
        pair = [Run(which, method, tests, folder) for which in ("stock", "ours")]
        runs[method] = pair
        for run in pair:
            run.start()
        if not options.fast:
            # Of the long ones two at a time: more would say nothing of how long they take.
            for run in pair:
                run.join()
    for run in sum(runs.values(), []):
        run.join()
    stock, ours = ({method: runs[method][n].outcomes for method in methods} for n in (0, 1))
    text = table(methods, stock, ours)
    print(text)
    if options.table:
        pathlib.Path(options.table).write_text(text + "\n")
    bad = 0
    for method in methods:
        for name, outcome in stock[method].items():
            wrong = worse(outcome, ours[method][name])
            if wrong:
                # Once more, alone: what is slow or fails because the machine is busy is not shmkit's.
                again = [Run(which, method, [name], folder) for which in ("stock", "ours")]
                for run in again:
                    run.start()
                    run.join()
                second = worse(*(run.outcomes[name] for run in again))
                print(f"{method} {name}: {wrong}; again, alone: {second or 'as stock'}")
                if second:
                    bad += 1
                    print(again[1].outcomes[name]["why"])
    count = sum(len(outcomes) for outcomes in stock.values())
    print(f"{count} tests: {bad} worse than stock")
    return bool(bad or not count)


if __name__ == "__main__":
    sys.exit(main())
