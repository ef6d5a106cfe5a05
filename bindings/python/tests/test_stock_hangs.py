"""What a kill does to the standard library's multiprocessing, and what to shmkit's: the same script for both, under a time limit."""

import os
import pathlib
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
#: Who has not ended by then hangs: nothing here takes a tenth of it. In seconds.
LIMIT = 5.0
#: And shmkit's may take longer on a busy machine.
PATIENT = 60.0


class Kills(unittest.TestCase):
    def check(self, scene):
        self.assertTrue(self.ends("shmkit.multiprocessing", scene, PATIENT), f"shmkit hangs: {scene}")
        self.assertFalse(self.ends("multiprocessing", scene, LIMIT), f"the standard library ends: {scene}")

    def ends(self, module, scene, limit):
        command = [sys.executable, str(HERE / "kills.py"), module, scene]
        child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = child.communicate(timeout=limit)
            self.assertEqual((child.returncode, out), (0, b"went on\n"), err.decode())
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.communicate()

    def test_the_holder_of_a_lock(self):
        self.check("holder")

    def test_who_waits_for_a_notification(self):
        self.check("waiter")

    def test_a_worker_of_a_pool(self):
        self.check("worker")

    def test_who_gets_from_a_queue(self):
        self.check("consumer")

    def test_who_gets_from_a_simple_queue(self):
        self.check("simple")

    def test_who_has_got_a_task(self):
        self.check("task")


if __name__ == "__main__":
    unittest.main()
