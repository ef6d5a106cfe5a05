"""What the standard library's own tests do not ask: signals, deaths, subclasses, one segment."""

import ctypes
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import unittest

import shmkit
import shmkit.multiprocessing as multiprocessing

METHODS = ("fork", "spawn", "forkserver")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def killed(target, *arguments):
    """Runs `target` in a forked child, which is killed afterwards."""
    child = os.fork()
    if child == 0:
        try:
            target(*arguments)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


class Named(multiprocessing.synchronize.Lock):
    def __new__(cls, name="none", *, ctx=None, _packed=None):
        return super().__new__(cls, _packed=_packed)

    def __init__(self, name="none", *, ctx=None):
        self.name = name


def acts(lock, event, named, value):
    with lock, named:
        value.value += len(named.name)
    event.set()


def sets(event, lock):
    with lock:
        event.set()


def hands_on(method, *objects):
    child = multiprocessing.get_context(method).Process(target=acts, args=objects)
    child.start()
    child.join()


class Travelling(unittest.TestCase):
    def test_objects_reach_children_of_children_with_what_subclasses_have_set(self):
        for method in METHODS:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                objects = (context.Lock(), context.Event(), Named("four"), context.Value("i", 1))
                child = context.Process(target=hands_on, args=(method, *objects))
                child.start()
                child.join()
                self.assertEqual(child.exitcode, 0)
                self.assertTrue(objects[1].is_set())
                self.assertEqual(objects[3].value, 5)

    def test_objects_go_to_children_only(self):
        for made in (multiprocessing.Lock(), multiprocessing.Event(), multiprocessing.Barrier(2)):
            with self.assertRaisesRegex(RuntimeError, "inheritance"):
                pickle.dumps(made)

    def test_a_thousand_objects_take_no_descriptor_each(self):
        first = multiprocessing.Lock()
        before = descriptors()
        made = [multiprocessing.Event() for _ in range(1000)]
        self.assertEqual(descriptors(), before)
        del made, first
        gc.collect()


class Signals(unittest.TestCase):
    """Ctrl-C ends a wait at once, and nothing is lost."""

    def interrupted(self, wait, *arguments):
        main = threading.get_ident()
        since = []

        def interrupt():
            time.sleep(0.1)
            since.append(time.monotonic())
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            wait(*arguments)
        ended = time.monotonic()
        thread.join()
        self.assertLess(ended - since[0], 5)

    def test_a_lock_is_not_acquired(self):
        lock = multiprocessing.Lock()
        lock.acquire()
        self.interrupted(lock.acquire)
        lock.release()
        self.assertTrue(lock.acquire(False))

    def test_a_semaphore_keeps_its_value(self):
        semaphore = multiprocessing.Semaphore(0)
        self.interrupted(semaphore.acquire)
        semaphore.release()
        self.assertEqual(semaphore.get_value(), 1)

    def test_an_event_stays_clear(self):
        event = multiprocessing.Event()
        self.interrupted(event.wait)
        self.assertFalse(event.is_set())

    def test_a_condition_has_its_lock_again_and_no_sleeper(self):
        condition = multiprocessing.Condition()
        with condition:
            self.interrupted(condition.wait)
            self.assertIn("MainProcess", repr(condition))
            self.assertEqual(condition._sleepers(), 0)

    def test_a_barrier_is_broken_for_the_others(self):
        barrier = multiprocessing.Barrier(2)
        self.interrupted(barrier.wait)
        self.assertTrue(barrier.broken)

    def test_a_handler_that_returns_ends_no_wait(self):
        ran = []
        before = signal.signal(signal.SIGALRM, lambda *_: ran.append(True))
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        self.assertFalse(multiprocessing.Event().wait(0.3))
        self.assertTrue(ran)

    def test_other_threads_run_while_one_waits(self):
        event = multiprocessing.Event()
        threading.Timer(0.05, event.set).start()
        self.assertTrue(event.wait(20))


class Deaths(unittest.TestCase):
    def test_a_lock_is_taken_over_and_says_so_once(self):
        for lock in (multiprocessing.Lock(), multiprocessing.RLock()):
            killed(lock.acquire)
            self.assertTrue(lock.acquire(timeout=20))
            self.assertTrue(lock.recovered)
            lock.release()
            with lock:
                self.assertFalse(lock.recovered)

    def test_who_asked_for_it_is_told_by_an_exception_and_holds_the_lock(self):
        for make in (multiprocessing.Lock, multiprocessing.RLock):
            lock = make(owner_died="raise")
            killed(lock.acquire)
            with self.assertRaises(shmkit.OwnerDied):
                lock.acquire()
            self.assertIn("MainProcess", repr(lock))
            lock.release()
            with lock:
                pass
        with self.assertRaisesRegex(ValueError, "panic"):
            multiprocessing.Lock(owner_died="panic")

    def test_a_notification_for_the_dead_goes_on(self):
        condition = multiprocessing.get_context("fork").Condition()
        asleep = multiprocessing.get_context("fork").Semaphore(0)

        def sleeps():
            with condition:
                asleep.release()
                condition.wait(60)

        doomed = multiprocessing.get_context("fork").Process(target=sleeps)
        doomed.start()
        self.assertTrue(asleep.acquire(timeout=20))
        other = threading.Thread(target=sleeps)
        other.start()
        self.assertTrue(asleep.acquire(timeout=20))
        with condition:
            doomed.kill()
            doomed.join()
            condition.notify()
        other.join(20)
        self.assertFalse(other.is_alive())

    def test_a_dead_party_breaks_the_barrier(self):
        barrier = multiprocessing.get_context("fork").Barrier(3)
        doomed = multiprocessing.get_context("fork").Process(target=barrier.wait)
        doomed.start()
        while not barrier.n_waiting:
            time.sleep(0.001)
        waiting = threading.Timer(0.2, doomed.kill)
        waiting.start()
        with self.assertRaisesRegex(threading.BrokenBarrierError, "died"):
            barrier.wait(60)
        doomed.join()
        waiting.join()
        barrier.reset()
        self.assertFalse(barrier.broken)


class Forks(unittest.TestCase):
    def test_a_child_takes_part_and_makes_objects_beside_its_parent(self):
        event = multiprocessing.Event()
        lock = multiprocessing.Lock()
        lock.acquire()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                mine = [multiprocessing.Lock() for _ in range(50)]
                if all(one.acquire(False) for one in mine) and not lock.acquire(False):
                    event.set()
                    code = 0
            finally:
                os._exit(code)
        made = [multiprocessing.Lock() for _ in range(50)]
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
        self.assertTrue(event.is_set())
        self.assertTrue(all(one.acquire(False) for one in made))

    def test_what_a_parent_lets_go_of_at_once_its_child_has(self):
        context = multiprocessing.get_context("fork")
        for _ in range(20):
            # Held by the process object alone, which lets go of its arguments when it has forked.
            child = context.Process(target=sets, args=(context.Event(), context.Lock()))
            child.start()
            child.join()
            self.assertEqual(child.exitcode, 0)


class Misuse(unittest.TestCase):
    def test_what_is_released_too_often_is_an_error(self):
        with self.assertRaises(ValueError):
            multiprocessing.Lock().release()
        with self.assertRaises(AssertionError):
            multiprocessing.RLock().release()
        with self.assertRaises(ValueError):
            multiprocessing.BoundedSemaphore(2).release()
        condition = multiprocessing.Condition()
        for act in (condition.wait, condition.notify, condition.notify_all):
            with self.assertRaises(AssertionError):
                act()

    def test_impossible_arguments_are_errors(self):
        for make in (
            lambda: multiprocessing.Semaphore(-1),
            lambda: multiprocessing.Barrier(0),
            lambda: multiprocessing.get_context("thread"),
            lambda: multiprocessing.heap.BufferWrapper(-1),
        ):
            self.assertRaises(ValueError, make)
        self.assertRaises(TypeError, multiprocessing.Condition, threading.Lock())
        for timeout in (-1, float("nan"), 0):
            lock = multiprocessing.Lock()
            lock.acquire()
            self.assertFalse(lock.acquire(True, timeout))

    def test_daemon_threads_that_wait_keep_nobody_from_ending(self):
        script = (
            "import threading, time, shmkit.multiprocessing as m\n"
            "threading.Thread(target=m.Event().wait, daemon=True).start()\n"
            "threading.Thread(target=m.Barrier(2).wait, daemon=True).start()\n"
            "time.sleep(0.05)\n"
        )
        for _ in range(5):
            done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Values(unittest.TestCase):
    def test_a_value_of_a_structure_is_zero_at_first(self):
        class Point(ctypes.Structure):
            _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_int)]

        for _ in range(100):
            point = multiprocessing.RawValue(Point)
            self.assertEqual((point.x, point.y), (0.0, 0))
            point.x, point.y = 1.5, 7
            del point

    def test_arrays_larger_than_the_first_memory(self):
        array = multiprocessing.RawArray("d", 1 << 20)
        array[len(array) - 1] = 2.5
        self.assertEqual(sum(array), 2.5)
        del array

    def test_bytes_are_zero_when_they_are_used_again(self):
        for _ in range(50):
            wrapper = multiprocessing.heap.BufferWrapper(1 << 16)
            view = wrapper.create_memoryview()
            self.assertEqual(bytes(view), bytes(1 << 16))
            view[:] = b"\xff" * len(view)
            view.release()
            del wrapper


if __name__ == "__main__":
    unittest.main()
