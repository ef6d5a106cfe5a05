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

from shmkit import _native
from shmkit._native import OwnerDied
from shmkit.multiprocessing import get_context

__all__ = ["OwnerDied", "get_context"]
