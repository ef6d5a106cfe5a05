"""Shared memory between processes that survives ``kill -9``.

``shmkit.multiprocessing`` is the standard library's ``multiprocessing``, with its locks, values, arrays and queues in
shared memory of shmkit: whoever is killed, at whatever instruction, leaves nobody waiting for it.

>>> import shmkit.multiprocessing as multiprocessing
>>> lock = multiprocessing.Lock()
>>> with lock:
...     lock.recovered  # True: its last owner was killed while it held it
False
"""

import sys as _sys
import sysconfig as _sysconfig

if not _sys.platform.startswith("linux"):
    raise ImportError("shmkit needs Linux: it asks that kernel who is alive")
if _sysconfig.get_config_var("Py_GIL_DISABLED"):
    raise ImportError(
        "shmkit is not for free-threaded builds of Python yet: use the usual build of the same version"
    )

from shmkit._native import Array, Map, OwnerDied, Segment
from shmkit.multiprocessing import get_context
from shmkit.multiprocessing.pool import WorkerDied

__all__ = ["Array", "Map", "OwnerDied", "Segment", "WorkerDied", "get_context", "open"]


def open(name):
    """Opens the segment of this name, which a Rust program, or another one of Python, has made.

    >>> import numpy, shmkit
    >>> weather = shmkit.open("weather")
    >>> celsius = numpy.asarray(weather.array("celsius"))  # in place
    """
    return Segment(name)


def _open_array(segment, name):
    return Segment(segment).array(name)
