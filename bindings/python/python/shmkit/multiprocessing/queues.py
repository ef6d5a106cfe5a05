"""Queues between processes, with the standard library's names and signatures.

`Queue` and `JoinableQueue` are queues of messages in shared memory: to put is to copy the pickled object there. Whoever is
killed at it, at whatever instruction, leaves nobody waiting, and nothing half there.

`SimpleQueue` is a pipe, which has a descriptor that can be waited for.
"""

import functools
import os
import queue as _queue
import threading
import types
import weakref
from collections import deque
from multiprocessing import context, queues, util

from shmkit import _native
from shmkit._reduction import Shared, dumps, loads
from shmkit.multiprocessing import connection

__all__ = ["Queue", "JoinableQueue", "SimpleQueue"]

Empty, Full = _queue.Empty, _queue.Full

#: How many objects lie in shared memory; what is more of an unbounded queue waits in the process that has put it.
CAPACITY = 4096
#: How many bytes of a queue's objects may lie there, unless `max_bytes` says otherwise; as many as it takes do.
MAX_BYTES = 256 << 20


class Messages(Shared, _native.Messages):
    """A queue of byte strings."""


class Queue:
    """A queue of objects: many processes put, many get.

    The object is pickled by `put`, in the thread that calls it, and lies in shared memory then: in one of `max_bytes` that are
    taken as they are needed. An object that is pickled to more than all of them is a `ValueError`. If there is no room, and the
    queue has no `maxsize`, objects wait in their process and are put by a thread, as in the standard library.

    If a process is killed, what it has put is got by others, what it was about to put or to get is as if it had not tried.
    """

    def __init__(self, maxsize=0, *, ctx=None, max_bytes=MAX_BYTES):
        self._maxsize = maxsize if 0 < maxsize else 0
        # A longer one is counted beside its slots.
        counted = self._maxsize > CAPACITY
        self._room = _room(ctx, self._maxsize) if counted else None
        self._overflows = counted or not self._maxsize
        self._messages = Messages(CAPACITY if self._overflows else self._maxsize, max_bytes)
        self._is_fork_ctx = getattr(ctx, "_name", None) == "fork"
        self._closed = False
        self._reset()

    def _reset(self):
        """Has nothing that waits in this process; nor has a forked child, whose parent puts what it has."""
        self._pid = os.getpid()
        self._waiting = deque()
        self._changed = threading.Condition(threading.Lock())
        self._thread = None
        self._joined = None
        self._left_behind = self._has_put = False

    def __getstate__(self):
        context.assert_spawning(self)
        if self._is_fork_ctx:
            # As the standard library has it, for who moves to it or from it.
            raise RuntimeError(
                "A SemLock created in a fork context is being shared with a process in a spawn context. This is not "
                "supported. Please use the same context to create multiprocessing objects and Process."
            )
        return {name: self.__dict__[name] for name in ("_maxsize", "_room", "_overflows", "_messages")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._is_fork_ctx = self._closed = False
        self._reset()

    def _check_open(self):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")

    def put(self, obj, block=True, timeout=None):
        """Puts an object. Raises `Full` if there is no room, at once or after `timeout` seconds."""
        self._check_open()
        self._has_put = True
        if self._room is not None and not self._room.acquire(block, timeout):
            raise Full
        try:
            message = dumps(obj)
        except Exception as error:
            if self._room is not None:
                self._room.release()
            self._on_queue_feeder_error(error, obj)
            return
        if not self._overflows:
            if not self._messages.put(message, block, timeout):
                raise Full
        elif self._waiting or not self._messages.put(message, False):
            self._put_later(message)

    def _put_later(self, message):
        if self._pid != os.getpid():
            self._reset()
        with self._changed:
            self._waiting.append(message)
            if self._thread is None:
                self._start()
            self._changed.notify()

    def _start(self):
        self._thread = threading.Thread(
            target=_feed,
            args=(self._waiting, self._changed, self._messages, self._moved()),
            name="QueueFeederThread",
            daemon=True,
        )
        self._thread.start()
        if not self._left_behind:
            self._joined = util.Finalize(self._thread, _join, [weakref.ref(self._thread)], exitpriority=-5)
        # The thread ends when all is put, and at the latest when the program does.
        self._ended = util.Finalize(self, _end, [self._waiting, self._changed], exitpriority=10)

    def _moved(self):
        """What is to be called when something that has waited is there."""
        return None

    def get(self, block=True, timeout=None):
        """Takes an object. Raises `Empty` if there is none, at once or after `timeout` seconds."""
        self._check_open()
        message = self._messages.get(block, timeout)
        if message is None:
            raise Empty
        if self._room is not None:
            self._room.release()
        return loads(message)

    def put_nowait(self, obj):
        """``put(obj, False)``"""
        self.put(obj, False)

    def get_nowait(self):
        """``get(False)``"""
        return self.get(False)

    def qsize(self):
        """How many objects there are, a moment ago; what waits for room in other processes is not counted."""
        return len(self._messages) + (len(self._waiting) if self._pid == os.getpid() else 0)

    def empty(self):
        """Whether there was nothing to get, a moment ago. `OSError` if it is closed and this process has put something."""
        # As in the standard library, where nothing is there to be closed before.
        if self._closed and self._has_put:
            raise OSError(f"Queue {self!r} is closed")
        return self._messages.empty()

    def full(self):
        """Whether there was no room for another one, a moment ago."""
        if self._room is not None:
            return self._room.get_value() == 0
        return not self._overflows and self._messages.full()

    def close(self):
        """Says that this process puts and gets no more; what waits is put all the same."""
        self._closed = True
        if self._thread is not None:
            self._ended()

    def join_thread(self):
        """Waits until what this process has put is there; after `close`."""
        assert self._closed, f"Queue {self!r} not closed"
        if self._joined is not None:
            self._joined()

    def cancel_join_thread(self):
        """Says that this process may end before what waits in it is put: that is lost then."""
        self._left_behind = True
        if self._joined is not None:
            self._joined.cancel()

    @staticmethod
    def _on_queue_feeder_error(e, obj):
        """An object could not be pickled: prints why. For others to say something else."""
        import traceback

        traceback.print_exception(e)

    __class_getitem__ = classmethod(types.GenericAlias)


def _room(ctx, maxsize):
    from shmkit.multiprocessing.synchronize import BoundedSemaphore

    return BoundedSemaphore(maxsize, ctx=ctx)


_sentinel = object()


def _feed(waiting, changed, messages, moved):
    while True:
        with changed:
            while not waiting:
                changed.wait()
            message = waiting[0]
        if message is _sentinel:
            return
        messages.put(message)
        # Not before it is there: who waits for the queue to be done has to see it in one of the two.
        waiting.popleft()
        if moved is not None:
            moved()


def _join(thread):
    thread = thread()
    if thread is not None:
        thread.join()


def _end(waiting, changed):
    with changed:
        waiting.append(_sentinel)
        changed.notify()


def _one_less(outside, none_outside):
    with none_outside:
        if not outside.acquire(False):
            return False
        if outside.get_value() == 0:
            none_outside.notify_all()
        return True


class JoinableQueue(Queue):
    """A `Queue` of which can be waited until all is done that was put.

    What a process has got and not said `task_done` of when it is killed, another one gets: `join` waits for nobody dead. A
    process says `task_done` of what it has got itself, of the oldest first.
    """

    def __init__(self, maxsize=0, *, ctx=None, max_bytes=MAX_BYTES):
        super().__init__(maxsize, ctx=ctx, max_bytes=max_bytes)
        self._extra(ctx)

    def _extra(self, ctx):
        from shmkit.multiprocessing.synchronize import Condition, Semaphore

        #: How many are not done and not in shared memory: too many were got by one process, or wait for room.
        self._outside = Semaphore(0, ctx=ctx)
        self._none_outside = Condition(ctx=ctx)
        if self._maxsize and not self._overflows:
            # What is got and not done keeps its slot, and does not count.
            self._room = _room(ctx, self._maxsize)
            self._overflows = True
            self._messages = Messages(CAPACITY, MAX_BYTES)

    def __getstate__(self):
        return {**super().__getstate__(), "_outside": self._outside, "_none_outside": self._none_outside}

    def _put_later(self, message):
        self._outside.release()
        super()._put_later(message)

    def get(self, block=True, timeout=None):
        self._check_open()
        message = self._messages.hold(block, timeout)
        if message is None:
            raise Empty
        if self._room is not None:
            self._room.release()
        if self._messages.held() > CAPACITY // 4:
            # Or nobody could put any more.
            self._outside.release()
            self._messages.done()
        return loads(message)

    get.__doc__ = Queue.get.__doc__

    def task_done(self):
        """Says that one of the objects that this process has got is done. `ValueError` if all of them are."""
        if not self._messages.done() and not _one_less(self._outside, self._none_outside):
            raise ValueError("task_done() called too many times")

    def _moved(self):
        return functools.partial(_one_less, self._outside, self._none_outside)

    def join(self):
        """Waits until all is done that was put."""
        while True:
            self._messages.join()
            with self._none_outside:
                if self._outside.get_value() == 0:
                    return
                self._none_outside.wait(1)


class SimpleQueue(queues.SimpleQueue):
    """A pipe of objects that any number of processes put into and get from.

    Whoever is killed at it leaves nobody waiting. It has ends with descriptors that can be waited for, as the standard library's has,
    and the locks that those take who use these ends by themselves; to put and to get takes none.
    """

    def __init__(self, *, ctx):
        self._reader, self._writer = connection.Pipe(duplex=False)
        self._poll = self._reader.poll
        self._rlock, self._wlock = ctx.Lock(), ctx.Lock()

    def get(self):
        """Takes an object; waits for one."""
        return self._reader.recv()

    def put(self, obj):
        """Puts an object; waits for room."""
        self._writer.send(obj)
