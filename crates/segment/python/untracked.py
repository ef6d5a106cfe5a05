import contextlib
import threading
from multiprocessing import resource_tracker, shared_memory

_lock = threading.Lock()


@contextlib.contextmanager
def _untracked(name):
    """Has the resource tracker not hear of `name`, so that it has nothing to remove, whenever this process ends."""
    register = resource_tracker.register

    def register_others(path, kind):
        if (path, kind) != ("/" + name, "shared_memory"):
            register(path, kind)

    resource_tracker.register = register_others
    try:
        yield
    finally:
        resource_tracker.register = register


def attach(name):
    """Opens the `SharedMemory` called `name`, which stays when this process ends."""
    with _lock, _untracked(name):
        return shared_memory.SharedMemory(name)


def attach_list(name):
    """Opens the `ShareableList` called `name`, which stays when this process ends."""
    with _lock, _untracked(name):
        return shared_memory.ShareableList(name=name)
