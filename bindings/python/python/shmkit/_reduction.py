"""How objects travel to children: only while one is being started, as in the standard library."""

import copyreg
import io
import pickle
from multiprocessing import context, reduction

from shmkit import _native

loads = pickle.loads


#: What the standard library's `ForkingPickler` looks into for how an object is pickled, in one dictionary: two in a chain, as it makes
#: for each object, took more time than all else.
_reducers = {}
_sources = (copyreg.dispatch_table, getattr(reduction.ForkingPickler, "_extra_reducers"))
_known = 0


class _Pickler(pickle.Pickler):
    dispatch_table = _reducers


#: Picklers that nobody uses just now, each with the file that it writes to.
_idle = []


def dumps(obj):
    """Pickles an object for another process, as the standard library's `ForkingPickler` does."""
    global _known
    count = len(_sources[0]) + len(_sources[1])
    if count != _known:
        for source in _sources:
            _reducers.update(source)
        _known = count
    try:
        file, pickler = _idle.pop()
    except IndexError:
        file = io.BytesIO()
        pickler = _Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dump(obj)
    message = file.getvalue()
    # Not after an error: then it has half an object in it.
    pickler.clear_memo()
    if len(message) < _KEPT:
        file.seek(0)
        file.truncate()
        _idle.append((file, pickler))
    return message


#: Whoever has pickled more does not keep the room for it, in bytes.
_KEPT = 1 << 16


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
