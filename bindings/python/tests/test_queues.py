"""Queues and pools: what the standard library's own tests do not ask."""

import os
import pickle
import queue
import signal
import threading
import time
import unittest
from multiprocessing import pool as stock_pool
from unittest import mock

import shmkit
import shmkit.multiprocessing as multiprocessing
from shmkit.futures import ProcessPoolExecutor
from shmkit.multiprocessing import queues

METHODS = ("fork", "spawn", "forkserver")


def puts(target, objects):
    for obj in objects:
        target.put(obj)


def takes_and_is_killed(source, taken):
    source.get()
    taken.set()
    time.sleep(60)


def works(source, many):
    # So many, and not until it is told to stop: what the dead had comes when somebody has found that they are, after others.
    for _ in range(many):
        source.get(timeout=60)
        source.task_done()


class Queues(unittest.TestCase):
    def test_objects_of_any_size_come_in_order(self):
        sizes = [0, 1, 100, 5_000, 200_000, 3 << 20, 7]
        for method in METHODS:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                objects = context.Queue()
                child = context.Process(target=puts, args=(objects, [bytes(n) for n in sizes]))
                child.start()
                self.assertEqual([len(objects.get(timeout=60)) for _ in sizes], sizes)
                child.join()
                self.assertTrue(objects.empty())

    def test_an_unbounded_queue_takes_more_than_lies_in_shared_memory(self):
        objects = multiprocessing.Queue()
        many = 3 * queues.CAPACITY
        for n in range(many):
            objects.put(n)
        self.assertEqual(objects.qsize(), many)
        self.assertEqual([objects.get(timeout=60) for _ in range(many)], list(range(many)))
        # QUE-18: only who puts no more can wait until all is put.
        self.assertRaises(AssertionError, objects.join_thread)
        objects.close()
        objects.join_thread()

    def test_a_child_puts_all_that_waits_before_it_ends(self):
        for method in METHODS:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                objects = context.Queue()
                many = queues.CAPACITY + 500
                child = context.Process(target=puts, args=(objects, range(many)))
                child.start()
                self.assertEqual([objects.get(timeout=60) for _ in range(many)], list(range(many)))
                child.join(60)
                self.assertEqual(child.exitcode, 0)

    def test_a_long_bounded_queue_is_full_when_it_is(self):
        objects = multiprocessing.Queue(queues.CAPACITY + 10)
        for n in range(queues.CAPACITY + 10):
            objects.put(n, timeout=60)
        self.assertTrue(objects.full())
        self.assertRaises(queue.Full, objects.put, 0, False)
        self.assertEqual(objects.get(), 0)
        objects.put("one more", False)
        # Nobody gets the rest: the program is not to wait for that at its end.
        objects.cancel_join_thread()

    def test_an_object_that_can_never_lie_there_is_an_error(self):
        objects = queues.Queue(max_bytes=1 << 20)
        with self.assertRaisesRegex(ValueError, "the queue holds"):
            objects.put(bytes(2 << 20))
        objects.put("short")
        self.assertEqual(objects.get(), "short")

    def test_there_may_be_more_queues_than_one_memory_has_addresses_for(self):
        many = [multiprocessing.Queue() for _ in range(300)]
        for n, one in enumerate(many):
            one.put(n)
        self.assertEqual([one.get() for one in many], list(range(300)))

    def test_ctrl_c_takes_nothing(self):
        objects = multiprocessing.Queue()
        threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        self.assertRaises(KeyboardInterrupt, objects.get)
        objects.put(1)
        self.assertEqual(objects.get(), 1)

    def test_a_queue_goes_to_children_only(self):
        self.assertRaises(RuntimeError, pickle.dumps, multiprocessing.Queue())

    def test_an_object_of_a_killed_worker_comes_to_another(self):
        context = multiprocessing.get_context("fork")
        tasks, taken = context.JoinableQueue(), context.Event()
        for n in range(5):
            tasks.put(n)
        doomed = context.Process(target=takes_and_is_killed, args=(tasks, taken))
        doomed.start()
        self.assertTrue(taken.wait(60))
        doomed.kill()
        doomed.join()
        worker = context.Process(target=works, args=(tasks, 5))
        worker.start()
        tasks.join()
        worker.join(60)
        self.assertEqual(worker.exitcode, 0)
        self.assertRaises(ValueError, tasks.task_done)

    def test_one_process_may_get_more_than_lies_in_shared_memory_before_it_is_done(self):
        tasks = multiprocessing.JoinableQueue()
        many = 2 * queues.CAPACITY
        for n in range(many):
            tasks.put(n)
        for n in range(many):
            self.assertEqual(tasks.get(timeout=60), n)
        for _ in range(many):
            tasks.task_done()
        tasks.join()
        self.assertRaises(ValueError, tasks.task_done)


def square(n):
    return n * n


def dies_at_seven(n):
    if n == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def exits(_):
    os._exit(3)


class Pools(unittest.TestCase):
    def test_a_pool_maps(self):
        for method in METHODS:
            with self.subTest(method), multiprocessing.get_context(method).Pool(3) as pool:
                self.assertEqual(pool.map(square, range(500), chunksize=1), [n * n for n in range(500)])
                self.assertEqual(sorted(pool.imap_unordered(square, range(50))), [n * n for n in range(50)])
                self.assertRaises(TypeError, pool.apply, square, ("x",))

    def test_a_killed_worker_answers_for_its_task_alone(self):
        for method in METHODS:
            with self.subTest(method), multiprocessing.get_context(method).Pool(2) as pool:
                answers = [pool.apply_async(dies_at_seven, (n,)) for n in range(20)]
                for n, answer in enumerate(answers):
                    if n == 7:
                        with self.assertRaisesRegex(shmkit.WorkerDied, "signal 9"):
                            answer.get(60)
                    else:
                        self.assertEqual(answer.get(60), n)
                with self.assertRaises(shmkit.WorkerDied):
                    pool.map_async(exits, range(3), chunksize=1).get(60)
                self.assertEqual(pool.map(square, range(5)), [0, 1, 4, 9, 16])

    def test_a_map_begins_while_no_worker_is_there(self):
        again = threading.Event()
        repopulate = stock_pool.Pool._repopulate_pool_static

        def later(*args):
            # After the first of two deaths it is asked, too.
            if not args[3]:
                again.wait(60)
                repopulate(*args)

        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool, mock.patch.object(stock_pool.Pool, "_repopulate_pool_static", later):
            for worker in list(pool._pool):
                worker.kill()
            end = time.monotonic() + 60
            while pool._pool:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.001)
            try:
                begun = [pool.map_async(square, range(9)), pool.starmap_async(pow, [(2, 3)] * 4), pool.map_async(square, [])]
            finally:
                again.set()
            self.assertEqual([one.get(60) for one in begun], [[n * n for n in range(9)], [8] * 4, []])

    def test_an_executor_loses_one_call_to_a_killed_process_and_no_other(self):
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
            calls = [executor.submit(dies_at_seven, n) for n in range(12)]
            answers = [call.exception(60) or call.result() for call in calls]
            self.assertIsInstance(answers.pop(7), shmkit.WorkerDied)
            self.assertEqual(answers, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11])
            self.assertEqual(list(executor.map(square, range(5))), [0, 1, 4, 9, 16])
        self.assertRaises(RuntimeError, executor.submit, square, 1)

    def test_workers_end_with_their_parent(self):
        context = multiprocessing.get_context("fork")
        told = context.Queue()
        parent = context.Process(target=_has_a_pool, args=(told,))
        parent.start()
        workers = told.get(timeout=60)
        parent.kill()
        parent.join()
        end = time.monotonic() + 60
        while any(_runs(pid) for pid in workers):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


def _has_a_pool(told):
    pool = multiprocessing.get_context("fork").Pool(2)
    told.put([worker.pid for worker in pool._pool])
    time.sleep(600)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main()
