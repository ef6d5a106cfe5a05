#!/usr/bin/env python3
"""shmkit beside the standard library, in one run: each figure is the best of several rounds, which alternate.

    stock.py [--rounds N] [NAME...]
"""

import argparse
import gc
import multiprocessing as stock
import os
import sys
import threading
import time

import shmkit
import shmkit.multiprocessing as ours

ROUNDS = 7


def timed(act, number):
    """Nanoseconds for each of so many calls."""
    gc.disable()
    began = time.perf_counter_ns()
    for _ in range(number):
        act()
    taken = time.perf_counter_ns() - began
    gc.enable()
    return taken / number


class Lock:
    """Lock: acquire, release"""

    most = 1 / 1.5

    def __init__(self, module):
        self.lock = module.Lock()

    def run(self):
        acquire, release = self.lock.acquire, self.lock.release

        def act():
            acquire()
            release()

        return timed(act, 50_000)


class Threading(Lock):
    """Lock beside threading.Lock: acquire, release"""

    def __init__(self, module):
        self.lock = threading.Lock() if module is stock else module.Lock()


class EventSet:
    """Event.set"""

    most = 3

    def __init__(self, module):
        self.event = module.Event()

    def run(self):
        return timed(self.event.set, 20_000)


class Notify:
    """Condition: with it: notify()"""

    most = 3

    def __init__(self, module):
        self.condition = module.Condition()

    def run(self):
        condition = self.condition

        def act():
            with condition:
                condition.notify()

        return timed(act, 20_000)


class Barrier:
    """Barrier(2).wait, two processes"""

    most = 3
    number = 500

    def __init__(self, module):
        self.context = module.get_context("fork")

    def run(self):
        barrier = self.context.Barrier(2)

        def meet():
            for _ in range(self.number):
                barrier.wait()

        other = self.context.Process(target=meet)
        other.start()
        barrier.wait()
        began = time.perf_counter_ns()
        for _ in range(self.number - 1):
            barrier.wait()
        taken = time.perf_counter_ns() - began
        other.join()
        return taken / (self.number - 1)


class Value:
    """Value: with its lock: value += 1"""

    most = 2

    def __init__(self, module):
        self.value = module.Value("q", 0)

    def run(self):
        value = self.value

        def act():
            with value.get_lock():
                value.value += 1

        return timed(act, 20_000)


class Update(Value):
    """Value.update(function) beside the same of the standard library"""

    def run(self):
        value = self.value
        if not hasattr(value, "update"):
            return super().run()

        def more(n):
            return n + 1

        return timed(lambda: value.update(more), 20_000)


class Queue:
    """Queue: put, get, one process"""

    most = 5

    def __init__(self, module):
        self.queue = module.Queue()

    def run(self):
        put, get = self.queue.put, self.queue.get

        def act():
            put(7)
            get()

        return timed(act, 3_000)


class QueueStream:
    """Queue: 20,000 objects to another process, each"""

    most = 5
    kind = "Queue"

    def __init__(self, module):
        self.context = module.get_context("fork")

    def run(self):
        queue, number, ready = getattr(self.context, self.kind)(), 20_000, self.context.Event()

        def takes():
            ready.set()
            for _ in range(number):
                queue.get()

        other = self.context.Process(target=takes)
        other.start()
        ready.wait()
        began = time.perf_counter_ns()
        for n in range(number):
            queue.put(n)
        other.join()
        return (time.perf_counter_ns() - began) / number


def echo(end):
    for message in iter(end.recv, None):
        end.send(message)


class PipeTrip:
    """Pipe: an object to another process and back"""

    most = 3
    number, thing = 3_000, 7

    def __init__(self, module):
        context = module.get_context("fork")
        self.near, there = context.Pipe()
        self.other = context.Process(target=echo, args=(there,), daemon=True)
        self.other.start()

    def run(self):
        send, recv, thing = self.near.send, self.near.recv, self.thing

        def act():
            send(thing)
            recv()

        return timed(act, self.number)

    def end(self):
        self.near.send(None)
        self.other.join()


class PipeLong(PipeTrip):
    """Pipe: a mebibyte to another process and back"""

    most = 1
    number, thing = 20, bytes(1 << 20)


class PipeHere:
    """Pipe: send, recv, one process"""

    most = 1

    def __init__(self, module):
        self.source, self.sink = module.Pipe(duplex=False)

    def run(self):
        send, recv = self.sink.send, self.source.recv

        def act():
            send(7)
            recv()

        return timed(act, 5_000)


class SimpleStream(QueueStream):
    """SimpleQueue: 20,000 objects to another process, each"""

    most = 2
    kind = "SimpleQueue"


class PoolMap:
    """Pool(2).map, chunks of 1"""

    most = 5

    def __init__(self, module):
        self.pool = module.get_context("fork").Pool(2)
        self.pool.map(abs, range(100))

    def run(self):
        began = time.perf_counter_ns()
        self.pool.map(abs, range(2_000), chunksize=1)
        return (time.perf_counter_ns() - began) / 2_000

    def end(self):
        self.pool.terminate()
        self.pool.join()


class Dictionary:
    """Manager().dict() beside a map of a segment: set and get of a short text"""

    most = 20

    def __init__(self, module):
        if module is stock:
            self.manager = stock.get_context("fork").Manager()
            self.table = self.manager.dict()
        else:
            self.segment = shmkit.Segment(f"bench-{os.getpid()}", 1 << 22, create=True)
            self.table = self.segment.map("table", 1 << 20, values="str")

    def run(self):
        table = self.table

        def act():
            table["key"] = "value"
            table["key"]

        return timed(act, 500)

    def end(self):
        if hasattr(self, "manager"):
            self.manager.shutdown()


def first(array):
    return memoryview(array)[0]


class Handle:
    """8 MiB to a worker of a pool and back: pickled, or an array by its name"""

    most = 50

    def __init__(self, module):
        self.pool = module.get_context("fork").Pool(1)
        if module is stock:
            self.array = bytes(8 << 20)
        else:
            self.segment = shmkit.Segment(f"bench-array-{os.getpid()}", 9 << 20, create=True)
            self.array = self.segment.array("frame", "u1", 8 << 20)

    def run(self):
        number = 10
        began = time.perf_counter_ns()
        for _ in range(number):
            self.pool.apply(first, (self.array,))
        return (time.perf_counter_ns() - began) / number

    def end(self):
        self.pool.terminate()
        self.pool.join()


ALL = (Lock, Threading, EventSet, Notify, Barrier, Value, Update, Queue, QueueStream, SimpleStream, PipeTrip, PipeLong, PipeHere, PoolMap, Dictionary, Handle)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("names", nargs="*", help=", ".join(bench.__name__ for bench in ALL))
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, best of {options.rounds} rounds, in ns")
    print("| | stock | shmkit | faster | wanted |\n| --- | --- | --- | --- | --- |")
    for bench in ALL:
        if options.names and bench.__name__ not in options.names:
            continue
        pair = [bench(module) for module in (stock, ours)]
        best = [float("inf")] * 2
        for turn in range(options.rounds):
            for n in (0, 1) if turn % 2 else (1, 0):
                best[n] = min(best[n], pair[n].run())
        for one in pair:
            getattr(one, "end", lambda: None)()
        text = bench.__doc__
        print(f"| {text} | {best[0]:,.0f} | {best[1]:,.0f} | {best[0] / best[1]:.2f}x | {bench.most:.2f}x |", flush=True)
        pair = None
        gc.collect()


if __name__ == "__main__":
    main()
