"""The standard library's ``multiprocessing``, in shared memory of shmkit.

Everything that it has is here, under the same name: what is not made by shmkit is the standard library's own. Processes
are started by its start methods; what they share survives the death of any of them.

`install` puts it in the place of the standard library's module, for programs and libraries that import that one.
"""

import sys as _sys

from shmkit.multiprocessing import context
from shmkit.multiprocessing.context import default as _default

#: As in the standard library, all that the default context has.
__all__ = [name for name in dir(_default) if not name.startswith("_")]
globals().update((name, getattr(_default, name)) for name in __all__)


def __getattr__(name):
    """The modules that the standard library's has, and shmkit's has not, are its own."""
    import importlib

    for package in (__name__, "multiprocessing"):
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{package}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def install():
    """Puts shmkit's in the place of the standard library's ``multiprocessing``, in this process.

    Children that are spawned do it themselves: call it where their main module is imported, too, not behind
    ``if __name__ == "__main__"``.
    """
    import multiprocessing
    from multiprocessing import context as stock

    from shmkit.multiprocessing import connection, pool, queues, sharedctypes, synchronize

    stock._concrete_contexts.update(context.concrete)
    stock._default_context = _default
    vars(multiprocessing).update((name, getattr(_default, name)) for name in multiprocessing.__all__)
    for ours in (connection, pool, queues, sharedctypes, synchronize):
        name = ours.__name__.rpartition(".")[2]
        __import__(f"multiprocessing.{name}")
        theirs = _sys.modules[f"multiprocessing.{name}"]
        vars(theirs).update((name, getattr(ours, name)) for name in ours.__all__)
