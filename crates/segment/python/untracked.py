import sys
import threading
from multiprocessing import resource_tracker, shared_memory

_lock = threading.Lock()


def attach(name):
    """Opens the shared memory `name`, which stays when this process ends."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name, track=False)
    register = resource_tracker.register

    def register_others(path, kind):
        if (path, kind) != ("/" + name, "shared_memory"):
            register(path, kind)

    # Never told of the name, the tracker has nothing to remove, whenever this process is killed.
    with _lock:
        resource_tracker.register = register_others
        try:
            return shared_memory.SharedMemory(name)
        finally:
            resource_tracker.register = register
