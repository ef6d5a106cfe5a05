from multiprocessing import connection as _stock
from multiprocessing.connection import Client as Client
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import Listener as Listener
from multiprocessing.connection import wait as wait
from typing import Any

class RingConnection(_stock.Connection[Any, Any]): ...

def Pipe(duplex: bool = True) -> tuple[RingConnection, RingConnection]: ...
