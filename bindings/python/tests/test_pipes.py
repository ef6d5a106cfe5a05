"""Pipes: what the standard library's own tests do not ask."""

import faulthandler
import multiprocessing as stock
import os
import pickle
import resource
import select
import selectors
import signal
import socket
import tempfile
import threading
import time
import unittest
from multiprocessing import connection as stock_connection
from multiprocessing import reduction
from unittest import mock

import shmkit.multiprocessing as multiprocessing
from shmkit.multiprocessing.connection import wait

METHODS = ("fork", "spawn", "forkserver")
#: Nothing here takes a tenth of it. In seconds.
LIMIT = 60
#: More than lies in a ring, so that it comes in pieces.
LONG = 1 << 20


def started(method, target, *args):
    child = multiprocessing.get_context(method).Process(target=target, args=args, daemon=True)
    child.start()
    return child


def kill(child):
    os.kill(child.pid, signal.SIGKILL)
    child.join(LIMIT)


def echoes(end):
    for message in iter(end.recv_bytes, b"enough"):
        end.send_bytes(message)


def sends_forever(end):
    while True:
        end.send_bytes(b"one of many")


def begins_a_long_one(end, begun):
    # Nobody receives, so that it never comes to its end.
    begun.set()
    end.send_bytes(bytes(LONG))


def receives_and_is_killed(end, begun):
    begun.set()
    end.recv_bytes()


def receives_some(end):
    for _ in range(2000):
        end.recv_bytes()


def receives_in_little_memory(end, results):
    with open("/proc/self/statm") as sizes:
        size = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20),) * 2)
    for _ in range(2):
        try:
            results.put(end.recv_bytes())
        except MemoryError as error:
            results.put(type(error).__name__)


def sends_numbered(end, who, many):
    for n in range(many):
        end.send((who, n, bytes(n % 700)))


def receives_all(end, results):
    got = []
    try:
        while True:
            who, n, body = end.recv()
            assert len(body) == n % 700
            got.append((who, n))
    except EOFError:
        results.put(got)


def keeps(end, told):
    told.wait()


def sends_what_it_gets(end):
    with end, end.recv() as handed:
        handed.send("through two pipes")


def tries_what_it_gets(end, many):
    for _ in range(many):
        with end.recv() as handed:
            try:
                handed.send("to nobody")
            except OSError as error:
                end.send(type(error).__name__)


def asleep(pid):
    calm, end = 0, time.monotonic() + LIMIT
    while calm < 20:
        assert time.monotonic() < end, "it does not sleep"
        with open(f"/proc/{pid}/stat") as stat:
            calm = calm + 1 if stat.read().rpartition(") ")[2][0] == "S" else 0
        time.sleep(0.002)


def readable(end):
    return bool(select.select([end], [], [], 0)[0])


def interrupt_soon(seconds=0.1):
    threading.Timer(seconds, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()


class Pipes(unittest.TestCase):
    def setUp(self):
        faulthandler.dump_traceback_later(3 * LIMIT, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)

    def test_messages_of_any_length_come_back_in_order(self):
        sizes = [0, 1, 7, 8, 9, 1000, 131_064, 131_065, LONG, 262_143, 0, 5 << 20, 3]
        for method in METHODS:
            with self.subTest(method):
                here, there = multiprocessing.get_context(method).Pipe()
                child = started(method, echoes, there)
                there.close()
                for size in sizes:
                    message = os.urandom(size)
                    here.send_bytes(message)
                    self.assertEqual(here.recv_bytes(), message)
                here.send_bytes(b"enough")
                child.join(LIMIT)
                self.assertEqual(child.exitcode, 0)
                self.assertRaises(EOFError, here.recv_bytes)

    def test_many_messages_wait_in_a_pipe_without_anybody(self):
        for duplex in (True, False):
            source, sink = multiprocessing.Pipe(duplex)
            for lap in range(5):
                for n in range(1000):
                    sink.send_bytes(bytes([n % 256]) * (n % 250))
                for n in range(1000):
                    self.assertTrue(source.poll())
                    self.assertEqual(source.recv_bytes(), bytes([n % 256]) * (n % 250))
                self.assertFalse(source.poll())

    def test_an_end_refuses_the_other_direction_as_stock(self):
        for module in (stock, multiprocessing):
            source, sink = module.Pipe(duplex=False)
            self.assertEqual([source.readable, source.writable, sink.readable, sink.writable], [True, False, False, True])
            for act in (lambda: source.send(1), sink.recv, sink.recv_bytes, sink.poll):
                self.assertRaises(OSError, act)
            sink.close()
            self.assertTrue(sink.closed)
            for act in (lambda: sink.send(1), sink.fileno, sink.poll):
                self.assertRaisesRegex(OSError, "handle is closed", act)

    def test_arguments_are_refused_as_stock_refuses_them(self):
        def outcomes(module):
            source, sink = module.Pipe(duplex=False)
            acts = [
                lambda: sink.send_bytes(b"abc", 4),
                lambda: sink.send_bytes(b"abc", -1),
                lambda: sink.send_bytes(b"abc", 1, -1),
                lambda: sink.send_bytes(b"abc", 1, 3),
                lambda: sink.send_bytes("text"),
                lambda: sink.send(lambda: 0),
                lambda: source.recv_bytes(-1),
                lambda: source.recv_bytes_into(bytearray(2), -1),
                lambda: source.recv_bytes_into(bytearray(2), 3),
                lambda: (sink.send_bytes(b"abcde"), source.recv_bytes_into(bytearray(5), 1)),
                lambda: (sink.send_bytes(b"abcde"), source.recv_bytes(5)),
                lambda: (sink.send_bytes(b"abcde"), source.recv_bytes(4)),
                lambda: source.closed,
                lambda: source.recv_bytes(),
            ]
            for act in acts:
                try:
                    yield act()
                except Exception as error:
                    yield type(error), error.args if not isinstance(error, (TypeError, AttributeError, pickle.PicklingError)) else None

        self.assertEqual(list(outcomes(multiprocessing)), list(outcomes(stock)))

    def test_the_end_comes_when_the_last_copy_of_the_other_end_is_closed(self):
        for method in METHODS:
            with self.subTest(method):
                here, there = multiprocessing.get_context(method).Pipe()
                told = [multiprocessing.get_context(method).Event() for _ in range(2)]
                children = [started(method, keeps, there, one) for one in told]
                there.send("sent before")
                there.close()
                self.assertEqual(here.recv(), "sent before")
                for one, child in zip(told, children):
                    self.assertFalse(here.poll(0.05))
                    here.send("to whoever is there")
                    one.set()
                    child.join(LIMIT)
                self.assertTrue(here.poll(LIMIT))
                self.assertRaises(EOFError, here.recv)
                self.assertRaises(BrokenPipeError, here.send, 1)

    def test_who_waits_for_a_killed_process_is_told(self):
        for method in METHODS:
            with self.subTest(method):
                here, there = multiprocessing.get_context(method).Pipe()
                child = started(method, echoes, there)
                there.close()
                here.send_bytes(b"alive")
                self.assertEqual(here.recv_bytes(), b"alive")
                asleep(child.pid)
                threading.Timer(0.05, os.kill, (child.pid, signal.SIGKILL)).start()
                self.assertRaises(EOFError, here.recv_bytes)
                self.assertRaises(BrokenPipeError, here.send_bytes, b"dead")
                child.join(LIMIT)

    def test_who_sends_to_a_killed_process_is_told_whatever_it_waits_for(self):
        # A full ring, a message in pieces, and one after the other.
        for act in (lambda end: sends_forever(end), lambda end: end.send_bytes(bytes(LONG))):
            here, there = multiprocessing.Pipe()
            told = multiprocessing.get_context("fork").Event()
            child = started("fork", keeps, there, told)
            there.close()
            threading.Timer(0.1, os.kill, (child.pid, signal.SIGKILL)).start()
            self.assertRaises(BrokenPipeError, act, here)
            child.join(LIMIT)

    def test_of_a_message_that_a_kill_has_cut_short_who_receives_is_told_once(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        begun = multiprocessing.get_context("fork").Event()
        child = started("fork", begins_a_long_one, sink, begun)
        self.assertTrue(begun.wait(LIMIT))
        asleep(child.pid)
        kill(child)
        # This process has the other end as well: it is not the end of all.
        self.assertRaisesRegex(OSError, "end of file during message", source.recv_bytes)
        sink.send_bytes(b"whole")
        self.assertEqual(source.recv_bytes(), b"whole")
        # Not told before another one came.
        child = started("fork", begins_a_long_one, sink, begun)
        self.assertTrue(source.poll(LIMIT))
        asleep(child.pid)
        kill(child)
        # It waits for room, which there is when the beginning is received.
        following = threading.Thread(target=sink.send_bytes, args=(b"whole",))
        following.start()
        self.assertRaisesRegex(OSError, "end of file during message", source.recv_bytes)
        self.assertEqual(source.recv_bytes(), b"whole")
        following.join(LIMIT)
        # And the end of all.
        child = started("fork", begins_a_long_one, sink, begun)
        self.assertTrue(source.poll(LIMIT))
        sink.close()
        asleep(child.pid)
        kill(child)
        self.assertRaisesRegex(OSError, "end of file during message", source.recv_bytes)
        self.assertRaises(EOFError, source.recv_bytes)

    def test_a_killed_receiver_takes_along_the_message_that_it_was_at_and_no_other(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        begun = context.Event()
        child = started("fork", receives_and_is_killed, source, begun)
        self.assertTrue(begun.wait(LIMIT))
        sender = context.Process(target=begins_a_long_one, args=(sink, context.Event()))
        kill_at = threading.Timer(0.05, os.kill, (child.pid, signal.SIGSTOP))
        asleep(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        sender.start()
        asleep(sender.pid)
        os.kill(child.pid, signal.SIGCONT)
        kill(child)
        following = threading.Thread(target=sink.send_bytes, args=(b"the next one",))
        following.start()
        message = source.recv_bytes()
        if len(message) == LONG:
            # It had not begun with it.
            message = source.recv_bytes()
        self.assertEqual(message, b"the next one")
        following.join(LIMIT)
        sender.join(LIMIT)
        self.assertEqual(sender.exitcode, 0)
        kill_at.cancel()

    def test_what_is_left_of_a_message_whose_receiver_was_killed_is_none(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        begun = [context.Event() for _ in range(2)]
        sender = context.Process(target=begins_a_long_one, args=(sink, begun[0]))
        sender.start()
        self.assertTrue(begun[0].wait(LIMIT))
        asleep(sender.pid)
        os.kill(sender.pid, signal.SIGSTOP)
        child = started("fork", receives_and_is_killed, source, begun[1])
        self.assertTrue(begun[1].wait(LIMIT))
        # It has what was there, and waits for the rest.
        asleep(child.pid)
        kill(child)
        os.kill(sender.pid, signal.SIGCONT)
        self.assertFalse(source.poll(0.3))
        self.assertEqual(wait([source], 0), [])
        sender.join(LIMIT)
        self.assertEqual(sender.exitcode, 0)
        sink.send("whole")
        self.assertTrue(source.poll())
        self.assertEqual(source.recv(), "whole")

    def test_a_whole_message_before_one_that_was_given_up_is_there(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        sink.send_bytes(bytes(140_000))
        interrupt_soon()
        self.assertRaises(KeyboardInterrupt, sink.send_bytes, bytes(LONG))
        self.assertTrue(source.poll())
        self.assertEqual(wait([source], 0), [source])
        self.assertEqual(source.recv_bytes(), bytes(140_000))
        self.assertFalse(source.poll())
        self.assertEqual(wait([source], 0), [])

    def test_ctrl_c_ends_a_wait_at_once_and_takes_nothing(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        for act in (source.recv, lambda: source.poll(LIMIT), lambda: source.poll(None)):
            interrupt_soon()
            begun = time.monotonic()
            self.assertRaises(KeyboardInterrupt, act)
            self.assertLess(time.monotonic() - begun, LIMIT / 2)
        sink.send(1)
        self.assertEqual(source.recv(), 1)

    def test_ctrl_c_in_the_middle_of_a_long_message_loses_nothing(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        begun = context.Event()
        sender = started("fork", begins_a_long_one, sink, begun)
        self.assertTrue(begun.wait(LIMIT))
        asleep(sender.pid)
        os.kill(sender.pid, signal.SIGSTOP)
        interrupt_soon()
        # What lies there is received, and the rest does not come.
        self.assertRaises(KeyboardInterrupt, source.recv_bytes)
        os.kill(sender.pid, signal.SIGCONT)
        self.assertEqual(source.recv_bytes(), bytes(LONG))
        sender.join(LIMIT)
        sink.send("next")
        self.assertEqual(source.recv(), "next")

    def test_a_message_that_ctrl_c_kept_from_being_sent_is_not_received(self):
        for message in (bytes(LONG), bytes(100_000)):
            source, sink = multiprocessing.Pipe(duplex=False)
            before = 0
            while sink._end is not None and before < 2 and len(message) < LONG:
                sink.send_bytes(message)
                before += 1
            interrupt_soon()
            self.assertRaises(KeyboardInterrupt, sink.send_bytes, message)
            # Of it alone nobody is told.
            self.assertEqual((source.poll(), wait([source], 0)), (before > 0, [source] * (before > 0)))
            threading.Thread(target=sink.send_bytes, args=(b"after it",)).start()
            for _ in range(before):
                self.assertEqual(source.recv_bytes(), message)
            self.assertEqual(source.recv_bytes(), b"after it")
            self.assertFalse(source.poll(0.05))

    def test_a_byte_that_is_no_message_wakes_nobody_and_keeps_no_signal_away(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        os.write(sink.fileno(), b"xyz")
        self.assertFalse(source.poll())
        self.assertFalse(source.poll(0.05))
        self.assertEqual(wait([source], 0.05), [])
        for act in (source.recv, lambda: wait([source])):
            interrupt_soon()
            self.assertRaises(KeyboardInterrupt, act)
        sink.send(1)
        self.assertEqual(wait([source], LIMIT), [source])
        self.assertEqual(source.recv(), 1)

    def test_a_message_of_which_nobody_was_told_is_waited_for_all_the_same(self):
        # As when the one who was told is killed.
        source, sink = multiprocessing.Pipe(duplex=False)
        near, far = socket.socketpair()
        with near, far, mock.patch.object(selectors.PollSelector, "select", return_value=[]):
            self.assertEqual(wait([source, near], 0), [])
            sink.send(1)
            self.assertEqual(wait([near, source], LIMIT), [source])
            self.assertEqual(wait([sink, near], 0), [])

    def test_a_message_for_which_there_is_no_memory_is_let_go(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        child = context.Process(target=receives_in_little_memory, args=(source, results), daemon=True)
        child.start()
        sink.send_bytes(bytes(1 << 30))
        sink.send_bytes(b"and another one")
        self.assertEqual(results.get(), "MemoryError")
        self.assertEqual(results.get(), b"and another one")
        child.join(LIMIT)

    def test_whoever_is_stopped_in_the_middle_keeps_no_interpreter(self):
        for method in ("fork", "spawn"):
            with self.subTest(method):
                source, sink = multiprocessing.get_context(method).Pipe(duplex=False)
                child = started(method, sends_forever, sink)
                source.recv_bytes()
                stopped = 0
                end = time.monotonic() + LIMIT
                # Until it is stopped with the turn: there is something, and who receives waits all the same.
                while not stopped:
                    self.assertLess(time.monotonic(), end)
                    thread = threading.Thread(target=receives_some, args=(source,))
                    thread.start()
                    os.kill(child.pid, signal.SIGSTOP)
                    thread.join(0.2)
                    stopped = thread.is_alive() and source._end.has_some()
                    # This thread has run.
                    if stopped:
                        self.assertEqual((source.poll(), source.poll(0.05), wait([source], 0.05)), (False, False, []))
                    os.kill(child.pid, signal.SIGCONT)
                    thread.join(LIMIT)
                kill(child)

    def test_other_threads_run_while_one_waits(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        got = []
        thread = threading.Thread(target=lambda: got.append(source.recv_bytes()))
        thread.start()
        time.sleep(0.05)
        sink.send_bytes(bytes(LONG))
        thread.join(LIMIT)
        self.assertEqual(got, [bytes(LONG)])

    def test_a_descriptor_is_readable_when_there_is_something_and_not_otherwise(self):
        for duplex in (True, False):
            source, sink = multiprocessing.Pipe(duplex)
            for _ in range(20):
                self.assertFalse(readable(source))
                sink.send(1)
                self.assertTrue(readable(source))
                sink.send(2)
                self.assertEqual(source.recv(), 1)
                self.assertTrue(readable(source))
                self.assertEqual(source.recv(), 2)
                self.assertFalse(readable(source))
            # And after somebody was waiting without it.
            for _ in range(20):
                timer = threading.Timer(0.001, lambda: (sink.send(1), sink.send(2)))
                timer.start()
                self.assertEqual(source.recv(), 1)
                timer.join()
                self.assertTrue(readable(source))
                self.assertEqual(source.recv(), 2)
                self.assertFalse(readable(source))
            sink.close()
            self.assertTrue(readable(source))

    def test_ends_are_waited_for_with_sockets_and_sentinels(self):
        for how in (wait, stock_connection.wait):
            with self.subTest(how.__module__):
                self.are_waited_for(how)

    def are_waited_for(self, wait):
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe(duplex=n % 2) for n in range(40)]
        near, far = socket.socketpair()
        told = context.Event()
        child = started("fork", keeps, near, told)
        things = [source for source, _ in pipes] + [near, child.sentinel]
        with near, far:
            self.assertEqual(wait(things, 0.05), [])
            pipes[7][1].send("seven")
            threading.Timer(0.05, pipes[30][1].send, ("thirty",)).start()
            self.assertEqual(wait(things, LIMIT), [pipes[7][0]])
            self.assertEqual(pipes[7][0].recv(), "seven")
            self.assertEqual(wait(things, LIMIT), [pipes[30][0]])
            far.send(b"x")
            told.set()
            child.join(LIMIT)
            self.assertEqual(wait(things, LIMIT), [pipes[30][0], near, child.sentinel])

    def test_one_end_is_used_by_many_processes_and_each_message_comes_once(self):
        context = multiprocessing.get_context("spawn")
        source, sink = context.Pipe(duplex=False)
        results, many = context.Queue(), 1500
        receivers = [started("spawn", receives_all, source, results) for _ in range(2)]
        senders = [started(method, sends_numbered, sink, who, many) for who, method in enumerate(METHODS)]
        source.close()
        sink.close()
        got = [one for _ in receivers for one in results.get(timeout=LIMIT)]
        self.assertEqual(sorted(got), [(who, n) for who in range(len(METHODS)) for n in range(many)])
        for child in senders + receivers:
            child.join(LIMIT)
            self.assertEqual(child.exitcode, 0)

    def test_one_end_is_used_by_many_threads_and_long_messages_come_whole(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        got, sizes = [], [200_000, 5, 300_000, 131_065, 70_000]

        def send(who):
            for size in sizes:
                sink.send_bytes(bytes([who]) * size)

        def receive():
            for _ in range(2 * len(sizes)):
                message = source.recv_bytes()
                got.append((message[0], len(message), message == message[:1] * len(message)))

        threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
        threads += [threading.Thread(target=receive) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        self.assertEqual(sorted(got), sorted((who, size, True) for who in range(4) for size in sizes))

    def test_whoever_is_killed_at_sending_leaves_whole_messages_and_nobody_waiting(self):
        source, sink = multiprocessing.Pipe(duplex=False)
        for turn in range(30):
            child = started("fork", sends_forever, sink)
            self.assertEqual(source.recv_bytes(), b"one of many")
            time.sleep(turn % 7 / 2000)
            kill(child)
            while source.poll():
                self.assertEqual(source.recv_bytes(), b"one of many")
            sink.send_bytes(b"from here")
            self.assertTrue(readable(source))
            self.assertEqual(source.recv_bytes(), b"from here")
            self.assertFalse(readable(source))

    def test_ends_go_through_pipes_and_queues(self):
        for method in METHODS:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                here, there = context.Pipe()
                child = started(method, sends_what_it_gets, there)
                there.close()
                source, sink = context.Pipe(duplex=False)
                here.send(sink)
                # The last one that this process has, and nobody may have found it yet.
                sink.close()
                self.assertEqual(source.recv(), "through two pipes")
                self.assertRaises(EOFError, source.recv)
                child.join(LIMIT)
        # And that an end is on its way keeps its pipe.
        here, there = multiprocessing.Pipe()
        child = started("spawn", tries_what_it_gets, there, 10)
        for _ in range(10):
            source, sink = multiprocessing.Pipe(duplex=False)
            here.send(sink)
            source.close(), sink.close()
            self.assertEqual(here.recv(), "BrokenPipeError")
        child.join(LIMIT)
        queue = multiprocessing.Queue()
        source, sink = multiprocessing.Pipe(duplex=False)
        queue.put(sink)
        queue.get(timeout=LIMIT).send(7)
        self.assertEqual(source.recv(), 7)

    def test_a_descriptor_goes_along_with_messages(self):
        here, there = multiprocessing.Pipe()
        with tempfile.TemporaryFile() as file:
            for n in range(3):
                here.send("it comes")
                reduction.send_handle(here, file.fileno(), os.getpid())
                self.assertEqual(there.recv(), "it comes")
                handle = reduction.recv_handle(there)
                os.write(handle, b"x")
                os.close(handle)
            self.assertEqual(file.seek(0, os.SEEK_END), 3)
        self.assertFalse(there.poll())

    def test_a_pipe_that_nobody_has_takes_no_memory_and_no_descriptor(self):
        def taken():
            sizes = 0
            for name in os.listdir("/proc/self/fd"):
                try:
                    sizes += os.stat(f"/proc/self/fd/{name}").st_blocks
                except OSError:
                    pass
            return len(os.listdir("/proc/self/fd")), sizes

        def use():
            for duplex in (True, False):
                source, sink = multiprocessing.Pipe(duplex)
                sink.send_bytes(bytes(100_000))
                source.recv_bytes()

        for _ in range(10):
            use()
        before = taken()
        for _ in range(300):
            use()
        self.assertEqual(taken(), before)


class SimpleQueues(unittest.TestCase):
    def test_who_waits_for_an_object_and_is_killed_leaves_nobody_waiting(self):
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        for _ in range(5):
            child = started("fork", SimpleQueues.gets, queue)
            asleep(child.pid)
            kill(child)
            queue.put("for another one")
            self.assertEqual(queue.get(), "for another one")
            self.assertTrue(queue.empty())

    @staticmethod
    def gets(queue):
        queue.get()

    def test_it_goes_to_children_only_and_is_closed_as_stock(self):
        for module in (stock, multiprocessing):
            queue = module.SimpleQueue()
            self.assertRaises(RuntimeError, pickle.dumps, queue)
            queue.close()
            queue.close()
            for act in (queue.get, queue.empty, lambda: queue.put(1)):
                self.assertRaisesRegex(OSError, "handle is closed", act)


if __name__ == "__main__":
    unittest.main()
