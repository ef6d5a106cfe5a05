"""Bytes that processes share, which ``ctypes`` lays its objects over."""

from shmkit import _native
from shmkit._reduction import Shared

__all__ = ["BufferWrapper"]


class BufferWrapper(Shared, _native.Block):
    """So many bytes, zero at first. It is a buffer: ``memoryview(it)``, ``numpy.frombuffer(it)``."""

    def create_memoryview(self):
        """Returns its bytes."""
        return memoryview(self)[: self._size]

    def __new__(cls, size, *, _packed=None):
        if size < 0:
            raise ValueError(f"Size {size:n} out of range")
        self = super().__new__(cls, size, _packed=_packed)
        self._size = size
        return self

    def _arguments(self):
        return (self._size,)
