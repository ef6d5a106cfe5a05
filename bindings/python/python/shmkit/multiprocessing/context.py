"""Contexts: the standard library's start methods, with what is shared in shared memory of shmkit."""

from multiprocessing import context as _stock
from multiprocessing import resource_tracker

__all__ = ["DefaultContext", "ForkContext", "SpawnContext", "ForkServerContext"]


class _Context:
    """What is made by shmkit instead of the standard library."""

    def get_context(self, method=None):
        """Returns the context of this start method: "fork", "spawn" or "forkserver"."""
        if method is None:
            return self
        try:
            found = concrete[method]
        except KeyError:
            raise ValueError(f"cannot find context for {method!r}") from None
        found._check_available()
        return found

    def Lock(self, *, owner_died="take"):
        """Returns a lock; see `shmkit.multiprocessing.synchronize.Lock`."""
        from .synchronize import Lock

        return Lock(ctx=self.get_context(), owner_died=owner_died)

    def RLock(self, *, owner_died="take"):
        """Returns a lock that its thread may acquire again."""
        from .synchronize import RLock

        return RLock(ctx=self.get_context(), owner_died=owner_died)

    def Condition(self, lock=None):
        """Returns a condition variable."""
        from .synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    def Semaphore(self, value=1):
        """Returns a semaphore."""
        from .synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context())

    def BoundedSemaphore(self, value=1):
        """Returns a semaphore that is never raised above its first value."""
        from .synchronize import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self.get_context())

    def Event(self):
        """Returns a flag to wait for."""
        from .synchronize import Event

        return Event(ctx=self.get_context())

    def Barrier(self, parties, action=None, timeout=None):
        """Returns a barrier."""
        from .synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def Queue(self, maxsize=0):
        """Returns a queue of objects."""
        from .queues import Queue

        return Queue(maxsize, ctx=self.get_context())

    def JoinableQueue(self, maxsize=0):
        """Returns a queue of objects of which can be waited until all are done."""
        from .queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self.get_context())

    def SimpleQueue(self):
        """Returns a pipe of objects that any number of processes put into and get from."""
        from .queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    def Pipe(self, duplex=True):
        """Returns the two ends of a pipe; see `shmkit.multiprocessing.connection.Pipe`."""
        from .connection import Pipe

        return Pipe(duplex)

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        """Returns a pool of processes."""
        from .pool import Pool

        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context())

    def RawValue(self, typecode_or_type, *args):
        """Returns a ctypes object in shared memory."""
        from .sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type, size_or_initializer):
        """Returns a ctypes array in shared memory."""
        from .sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type, *args, lock=True):
        """Returns a ctypes object in shared memory, with its lock."""
        from .sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    def Array(self, typecode_or_type, size_or_initializer, *, lock=True):
        """Returns a ctypes array in shared memory, with its lock."""
        from .sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())


class _Tracked:
    """Where children are not forked, the standard library's tracker runs before there is anything to share, as it does there.

    What is shared here needs none; starting a child does.
    """

    def get_context(self, method=None):
        if method is None:
            resource_tracker.ensure_running()
        return super().get_context(method)


class ForkContext(_Context, _stock.ForkContext):
    """Children are forked."""


class SpawnContext(_Tracked, _Context, _stock.SpawnContext):
    """Children are fresh interpreters."""


class ForkServerContext(_Tracked, _Context, _stock.ForkServerContext):
    """Children are forked by a process that has one thread."""


concrete = {"fork": ForkContext(), "spawn": SpawnContext(), "forkserver": ForkServerContext()}

#: Which start method is used is known to the standard library, so that whatever is started by it agrees with us.
_chosen = _stock._default_context


class DefaultContext(_Context, _stock.DefaultContext):
    """The context of the start method that the program has chosen."""

    def __init__(self):
        pass

    @property
    def _actual_context(self):
        return _chosen._actual_context

    @_actual_context.setter
    def _actual_context(self, context):
        # A child does this, which is of the method that it was started by.
        _chosen._actual_context = context

    def get_context(self, method=None):
        return super().get_context(method or _chosen.get_start_method())

    def set_start_method(self, method, force=False):
        """Chooses the start method, for the standard library's module as well."""
        _chosen.set_start_method(method, force)

    def get_start_method(self, allow_none=False):
        """Returns the chosen start method."""
        return _chosen.get_start_method(allow_none)


default = DefaultContext()
