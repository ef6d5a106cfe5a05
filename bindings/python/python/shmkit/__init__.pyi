from multiprocessing.context import BaseContext

from shmkit._native import Array as Array
from shmkit._native import Map as Map
from shmkit._native import OwnerDied as OwnerDied
from shmkit._native import Segment as Segment
from shmkit.multiprocessing.pool import WorkerDied as WorkerDied

def get_context(method: str | None = None) -> BaseContext: ...
def open(name: str) -> Segment: ...
