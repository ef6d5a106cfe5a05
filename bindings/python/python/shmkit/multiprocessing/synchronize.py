"""Locks between processes, with the standard library's names and signatures."""

import threading
import time
from multiprocessing import process

from shmkit import _native
from shmkit._reduction import Shared

__all__ = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"]


def _myself():
    name = process.current_process().name
    thread = threading.current_thread().name
    return name if thread == "MainThread" else f"{name}|{thread}"


class _SemLock:
    """What the standard library's queues, and who looks into its locks, ask of the semaphore inside."""

    __slots__ = ("_lock",)

    def __init__(self, lock):
        self._lock = lock

    def _get_value(self):
        if isinstance(self._lock, Semaphore):
            return self._lock.get_value()
        return int(not self._lock._owner()[0])

    def _is_zero(self):
        return self._get_value() == 0

    def _is_mine(self):
        return self._count() > 0

    def _count(self):
        if isinstance(self._lock, Semaphore):
            return 0
        owner = self._lock._owner()
        return owner[2] if len(owner) > 2 else int(owner[1])

    @property
    def maxvalue(self):
        return self._lock._bound if isinstance(self._lock, Semaphore) else 1


class _HasSemLock(Shared):
    """A lock of which others know that the standard library's has a semaphore inside."""

    __slots__ = ()

    @property
    def _semlock(self):
        return _SemLock(self)


class Lock(_HasSemLock, _native.Lock):
    """A lock that one process or thread has at a time, and that anybody may release.

    If its owner is killed, the next one who asks gets it, within some 40 ms, and `recovered` is true for that one. With
    ``owner_died="raise"`` that one gets `shmkit.OwnerDied` instead, and holds the lock.
    """

    def __repr__(self):
        held, ours = self._owner()
        owner = _myself() if ours else "SomeOtherProcess" if held else None
        return f"<{type(self).__name__}(owner={owner})>"


class RLock(_HasSemLock, _native.RLock):
    """A lock that its owner, one thread of one process, may acquire again, and releases as often.

    If its owner is killed, it is as with `Lock`: the next one has then acquired it once.
    """

    def __repr__(self):
        held, ours, depth = self._owner()
        if depth:
            owner, count = _myself(), depth
        elif held:
            owner, count = "SomeOtherThread" if ours else "SomeOtherProcess", "nonzero"
        else:
            owner, count = None, 0
        return f"<{type(self).__name__}({owner}, {count})>"


class Semaphore(_HasSemLock, _native.Semaphore):
    """A number that `release` raises, and that `acquire` lowers, waiting while it is 0.

    Anybody may release what somebody else has acquired; so what a killed process has acquired stays acquired.
    """

    def __repr__(self):
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A `Semaphore` that is never raised above its first value: then `release` raises `ValueError`."""

    def __new__(cls, value=1, *, ctx=None, _packed=None):
        return super().__new__(cls, value, _bounded=True, _packed=_packed)

    def __repr__(self):
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._bound})>"


class _Count:
    """What the standard library keeps in a semaphore."""

    def __init__(self, value):
        self._value = value

    def get_value(self):
        return self._value


class Condition(Shared, _native.Condition):
    """Somewhere to sleep until somebody has made a condition true, under a lock: an `RLock` unless another is given.

    A notification for a sleeper that is killed goes on to another one, and whoever is killed under the lock wakes those
    who sleep: they look at their condition again, as they have to anyway.
    """

    def __new__(cls, lock=None, *, ctx=None, _packed=None):
        return super().__new__(cls, RLock() if lock is None else lock, _packed=_packed)

    def wait_for(self, predicate, timeout=None):
        """Waits until `predicate` returns something true, and returns that, or whatever it returns after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (result := predicate()):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    def _arguments(self):
        return (self._lock,)

    def __repr__(self):
        return f"<{type(self).__name__}({self._lock}, {self._sleepers()})>"

    # For who looks at what the standard library has: its tests do.
    @property
    def _sleeping_count(self):
        return _Count(self._sleepers())

    @property
    def _woken_count(self):
        return _Count(0)

    @property
    def _wait_semaphore(self):
        return _Count(0)


class Event(Shared, _native.Event):
    """A flag to wait for."""

    def __repr__(self):
        state = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"


class Barrier(Shared, _native.Barrier):
    """Where so many parties wait for each other.

    One that is killed while others wait for it breaks the barrier: they get `threading.BrokenBarrierError`.
    """

    def _arguments(self):
        return (self.parties, self._action)

    def __repr__(self):
        if self.broken:
            return f"<{type(self).__qualname__} at {id(self):#x}: broken>"
        return f"<{type(self).__qualname__} at {id(self):#x}: waiters={self.n_waiting}/{self.parties}>"
