"""Segments by their name: arrays in place, maps."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import unittest

import shmkit

try:
    import numpy
except ImportError:
    numpy = None

NAME = f"python-test-{os.getpid()}"


def elsewhere(script, **options):
    """Runs a script in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", script, NAME], capture_output=True, text=True, timeout=60, **options)


class Segments(unittest.TestCase):
    def setUp(self):
        self.segment = shmkit.Segment(NAME, 1 << 20, create=True)

    def tearDown(self):
        del self.segment
        gc.collect()
        self.assertNotIn(f"shmkit.{NAME}", os.listdir("/dev/shm"))

    def test_a_segment_is_opened_by_its_name_and_says_what_it_has(self):
        self.segment.array("row", "i4", 3)
        self.segment.map("names", 1 << 17)
        self.assertEqual(shmkit.open(NAME).objects()[0][0], "row")
        self.assertIn("array of i32", dict(self.segment.objects())["row"])
        self.assertRaises(OSError, shmkit.Segment, NAME, 4096, create=True)
        self.assertRaises(OSError, shmkit.open, f"{NAME}-not-there")
        self.assertRaises(KeyError, self.segment.array, "column")
        self.assertRaises(ValueError, self.segment.array, "names")
        self.assertRaises(ValueError, self.segment.array, "row", "f8", 3)
        self.assertRaises(ValueError, self.segment.array, "row", "c16", 3)

    def test_an_array_is_seen_in_place_from_both_sides(self):
        for code, size in (("u1", 1), ("i2", 2), ("u4", 4), ("i8", 8), ("f4", 4), ("f8", 8)):
            with self.subTest(code):
                array = self.segment.array(f"of {code}", code, 10)
                view = memoryview(array)
                self.assertEqual((view.itemsize, view.shape, len(array), array.dtype), (size, (10,), 10, code))
                view[3] = 7
                script = (
                    "import shmkit, sys\n"
                    f"view = memoryview(shmkit.open(sys.argv[1]).array('of {code}'))\n"
                    "assert view[3] == 7, view[3]\n"
                    "view[4] = 8\n"
                )
                done = elsewhere(script)
                self.assertEqual(done.stderr, "")
                self.assertEqual(view.tolist()[3:5], [7, 8])

    def test_an_array_stays_as_long_as_a_view(self):
        view = memoryview(self.segment.array("row", "f8", 1000))
        gc.collect()
        view[999] = 1.5
        self.assertEqual(view[999], 1.5)

    @unittest.skipIf(numpy is None, "there is no NumPy")
    def test_numpy_and_dlpack_see_it_in_place(self):
        array = self.segment.array("row", "f8", 100)
        view = numpy.asarray(array)
        self.assertEqual((view.dtype, view.shape, view.flags.owndata), (numpy.float64, (100,), False))
        view[:] = numpy.arange(100)
        again = numpy.from_dlpack(array)
        self.assertEqual(again.sum(), 4950)
        self.assertEqual(array.__array_interface__["data"][0], view.ctypes.data)
        array.__array_interface__["typestr"]
        again = None

    def test_an_array_goes_anywhere_by_its_name(self):
        array = self.segment.array("row", "i8", 4)
        memoryview(array)[0] = 5
        self.assertEqual(memoryview(pickle.loads(pickle.dumps(array)))[0], 5)

    def test_who_was_killed_under_an_arrays_lock_is_told_to_the_next(self):
        array = self.segment.array("row", "i8", 4)
        script = (
            "import os, shmkit, signal, sys\n"
            "array = shmkit.open(sys.argv[1]).array('row')\n"
            "array.acquire()\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        self.assertEqual(elsewhere(script).returncode, -signal.SIGKILL)
        with self.assertRaises(shmkit.OwnerDied):
            array.acquire(timeout=20)
        array.release()
        with array as held:
            self.assertIs(held, array)
            self.assertFalse(array.acquire(False))
        self.assertRaises(ValueError, array.release)

    def test_maps_of_all_kinds_are_dictionaries_between_processes(self):
        samples = {"str": ["one", "two"], "bytes": [b"one", b""], "i8": [-1, 1 << 40], "u8": [0, 1 << 63], "f8": [0.5, -2.0]}
        for keys in ("str", "bytes", "i8", "u8"):
            for values in samples:
                with self.subTest(keys=keys, values=values):
                    name = f"{keys} to {values}"
                    table = self.segment.map(name, 1 << 17, keys=keys, values=values)
                    (first, second), (value, other) = samples[keys], samples[values]
                    table[first], table[second] = value, other
                    found = shmkit.open(NAME).map(name)
                    self.assertEqual(dict(found.items()), {first: value, second: other})
                    self.assertEqual(sorted(found), sorted(samples[keys]))
                    self.assertEqual((len(found), found[second], first in found), (2, other, True))
                    self.assertEqual(found.pop(first), value)
                    self.assertIsNone(found.get(first))
                    self.assertEqual(found.get(first, other), other)
                    self.assertRaises(KeyError, table.__getitem__, first)
                    self.assertRaises(KeyError, table.__delitem__, first)
                    self.assertRaises(TypeError, table.__setitem__, [], value)
                    del table[second]
                    table[first] = other
                    table.clear()
                    self.assertEqual(len(found), 0)
                    del table, found
                    self.segment.remove(name)

    def test_a_full_map_is_an_error_and_stays_whole(self):
        table = self.segment.map("small", 1 << 17)
        with self.assertRaises(ValueError):
            for n in range(10_000):
                table[str(n)] = b"x" * 100
        self.assertEqual(table["0"], b"x" * 100)


if __name__ == "__main__":
    unittest.main()
