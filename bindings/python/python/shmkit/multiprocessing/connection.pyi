from collections.abc import Iterable
from multiprocessing import connection as _stock
from multiprocessing.connection import Client as Client
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import Listener as Listener
from typing import Any

class RingConnection(_stock.Connection[Any, Any]): ...

def Pipe(duplex: bool = True) -> tuple[RingConnection, RingConnection]: ...
def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]: ...
