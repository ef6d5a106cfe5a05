"""How objects travel to children: only while one is being started, as in the standard library."""

import collections
import copyreg
import io
import pickle
from multiprocessing import context, reduction

from shmkit import _native

loads = pickle.loads


class _Pickler(pickle.Pickler):
    """As the standard library's `ForkingPickler`, with one table for all objects instead of a new one for each."""

    dispatch_table = collections.ChainMap(reduction.ForkingPickler._extra_reducers, copyreg.dispatch_table)


def dumps(obj):
    """Pickles an object for another process."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(obj)
    return file.getvalue()


class Shared:
    """An object in shared memory of shmkit, which goes to children as what it is."""

    __slots__ = ()

    def _arguments(self):
        """What its class has to be told to find it again, before which object it is."""
        return ()

    def __reduce__(self):
        context.assert_spawning(self)
        child = context.get_spawning_popen()
        cookie, descriptor, packed = self._pack()
        travelling = child.__dict__.setdefault("_shmkit", {})
        # One descriptor for a segment, however many objects of it go along.
        duplicate = travelling.get(cookie)
        if duplicate is None:
            duplicate = travelling[cookie] = reduction.DupFd(descriptor)
        # Until the child has it, we do.
        child.__dict__.setdefault("_shmkit_kept", []).append(self)
        return _found, (type(self), self._arguments(), cookie, duplicate, packed, self._state())

    def _state(self):
        """What else it has, of its own: attributes that subclasses have set."""
        return getattr(self, "__dict__", None) or None



def _found(cls, arguments, cookie, duplicate, packed, state):
    _native.join(cookie, duplicate.detach)
    found = cls.__new__(cls, *arguments, _packed=packed)
    if state:
        found.__dict__.update(state)
    return found
