from collections.abc import Callable, Iterable
from multiprocessing import active_children as active_children
from multiprocessing import allow_connection_pickling as allow_connection_pickling
from multiprocessing import AuthenticationError as AuthenticationError
from multiprocessing import BufferTooShort as BufferTooShort
from multiprocessing import cpu_count as cpu_count
from multiprocessing import current_process as current_process
from multiprocessing import freeze_support as freeze_support
from multiprocessing import get_all_start_methods as get_all_start_methods
from multiprocessing import get_context as get_context
from multiprocessing import get_logger as get_logger
from multiprocessing import get_start_method as get_start_method
from multiprocessing import log_to_stderr as log_to_stderr
from multiprocessing import Manager as Manager
from multiprocessing import parent_process as parent_process
from multiprocessing import Process as Process
from multiprocessing import ProcessError as ProcessError
from multiprocessing import reducer as reducer
from multiprocessing import set_executable as set_executable
from multiprocessing import set_forkserver_preload as set_forkserver_preload
from multiprocessing import set_start_method as set_start_method
from multiprocessing import TimeoutError as TimeoutError
from typing import Any, Literal

from shmkit.multiprocessing import connection as connection
from shmkit.multiprocessing import context as context
from shmkit.multiprocessing import heap as heap
from shmkit.multiprocessing import pool as pool
from shmkit.multiprocessing import queues as queues
from shmkit.multiprocessing import sharedctypes as sharedctypes
from shmkit.multiprocessing import synchronize as synchronize
from shmkit.multiprocessing.connection import Pipe as Pipe
from shmkit.multiprocessing.sharedctypes import Array as Array
from shmkit.multiprocessing.sharedctypes import RawArray as RawArray
from shmkit.multiprocessing.sharedctypes import RawValue as RawValue
from shmkit.multiprocessing.sharedctypes import Value as Value

def Lock(*, owner_died: Literal["take", "raise"] = "take") -> synchronize.Lock: ...
def RLock(*, owner_died: Literal["take", "raise"] = "take") -> synchronize.RLock: ...
def Semaphore(value: int = 1) -> synchronize.Semaphore: ...
def BoundedSemaphore(value: int = 1) -> synchronize.BoundedSemaphore: ...
def Condition(lock: synchronize.Lock | synchronize.RLock | None = None) -> synchronize.Condition: ...
def Event() -> synchronize.Event: ...
def Barrier(
    parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
) -> synchronize.Barrier: ...
def Queue(maxsize: int = 0) -> queues.Queue[Any]: ...
def JoinableQueue(maxsize: int = 0) -> queues.JoinableQueue[Any]: ...
def SimpleQueue() -> queues.SimpleQueue[Any]: ...
def Pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    maxtasksperchild: int | None = None,
) -> pool.Pool: ...
def install() -> None: ...
