"""Values and arrays of ``ctypes`` in shared memory, with the standard library's names and signatures."""

import ctypes
from multiprocessing import context as _context
from multiprocessing.sharedctypes import SynchronizedArray as _Array
from multiprocessing.sharedctypes import SynchronizedBase, rebuild_ctype, typecode_to_type
from multiprocessing.sharedctypes import SynchronizedString as _String
from multiprocessing.sharedctypes import synchronized as _synchronized

from shmkit import _native
from shmkit.multiprocessing.heap import BufferWrapper

__all__ = [
    "Array",
    "RawArray",
    "RawValue",
    "Synchronized",
    "SynchronizedArray",
    "SynchronizedString",
    "Value",
    "copy",
    "synchronized",
]


def _new_value(type_):
    return rebuild_ctype(type_, BufferWrapper(ctypes.sizeof(type_)), None)


def RawValue(typecode_or_type, *args):
    """Returns a ctypes object in shared memory, without a lock."""
    made = _new_value(typecode_to_type.get(typecode_or_type, typecode_or_type))
    made.__init__(*args)
    return made


def RawArray(typecode_or_type, size_or_initializer):
    """Returns a ctypes array in shared memory, without a lock: of zeros, or of what is in the initializer."""
    type_ = typecode_to_type.get(typecode_or_type, typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new_value(type_ * size_or_initializer)
    made = _new_value(type_ * len(size_or_initializer))
    made.__init__(*size_or_initializer)
    return made


def Value(typecode_or_type, *args, lock=True, ctx=None):
    """Returns a ctypes object in shared memory, with a lock of its own unless another, or none, is given."""
    return _locked(RawValue(typecode_or_type, *args), lock, ctx)


def Array(typecode_or_type, size_or_initializer, *, lock=True, ctx=None):
    """Returns a ctypes array in shared memory, with a lock of its own unless another, or none, is given."""
    return _locked(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def _locked(obj, lock, ctx):
    if lock is False:
        return obj
    if lock in (True, None):
        lock = _given(ctx).RLock()
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx)


def _given(ctx):
    if ctx is not None:
        return ctx
    from shmkit.multiprocessing import get_context

    return get_context()


def copy(obj):
    """Returns a copy of a ctypes object, in shared memory."""
    made = _new_value(type(obj))
    ctypes.pointer(made)[0] = obj
    return made


class _Synchronized(_native.Guarded, SynchronizedBase):
    """A ctypes object in shared memory with its lock, which is held by whoever is in ``with it:``."""

    def __new__(cls, obj, lock=None, ctx=None):
        lock = lock or _given(ctx).RLock()
        simple = getattr(type(obj), "_type_", None) if isinstance(obj, ctypes._SimpleCData) else None
        return super().__new__(cls, obj, lock, simple, ctypes.addressof(obj))

    def __init__(self, obj, lock=None, ctx=None):
        lock = self.get_lock()
        self._obj, self._lock = obj, lock
        self.acquire, self.release = lock.acquire, lock.release

    def __reduce__(self):
        _context.assert_spawning(self)
        return synchronized, (self._obj, self._lock)


class Synchronized(_Synchronized):
    """A value in shared memory with its lock.

    ``value += 1`` is a read and a write; ``update(lambda n: n + 1)`` is one step.
    """


class SynchronizedArray(_Synchronized, _Array):
    """An array in shared memory with its lock."""


class SynchronizedString(_Synchronized, _String):
    """An array of bytes in shared memory with its lock; `value` ends at the first zero, `raw` does not."""


def synchronized(obj, lock=None, ctx=None):
    """Puts a lock beside a ctypes object in shared memory."""
    assert not isinstance(obj, SynchronizedBase), "object already synchronized"
    if isinstance(obj, ctypes._SimpleCData):
        return Synchronized(obj, lock, ctx)
    if isinstance(obj, ctypes.Array):
        made = SynchronizedString if obj._type_ is ctypes.c_char else SynchronizedArray
        return made(obj, lock, ctx)
    return _synchronized(obj, lock or _given(ctx).RLock(), ctx)
