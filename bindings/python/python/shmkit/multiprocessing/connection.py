"""Pipes between processes, with the standard library's names and signatures.

Both ends of a `Pipe` are the standard library's connections, over a socket that they inherit, hand on and close as those do; so the
kernel says when nobody has an end any more, whoever was killed. The messages do not go through it: they lie in shared memory, in a ring
for each direction. (Single bytes go through it, for who waits by a descriptor: `select`, `selectors`, `multiprocessing.connection.wait`.)
"""

import os
import selectors
import socket
import time
from multiprocessing import connection as _stock
from multiprocessing import context, reduction

from shmkit import _native
from shmkit._reduction import Shared, dumps, loads

__all__ = ["Client", "Listener", "Pipe", "wait"]

Client, Listener = _stock.Client, _stock.Listener
#: What `install` puts this module's own in the place of.
_wait = _stock.wait


def __getattr__(name):
    """What else the standard library's module has."""
    return getattr(_stock, name)


#: How long whoever hands an end on by a message waits until it was found, in seconds: it is there until then.
_PATIENCE = 20


#: How often the memory of pipes is looked at while their sockets are waited for, in seconds: whoever was killed when he was about to
#: receive a message may have been the only one who was told of it.
_LOOK = 0.25


class _End(Shared, _native.End):
    """The memory of a pipe, as one of its ends sees it."""

    __slots__ = ("_side",)

    def __new__(cls, duplex=True, side=0, *, _other=None, _packed=None):
        self = super().__new__(cls, duplex, side, _other, _packed)
        self._side = duplex, side
        return self

    def _arguments(self):
        return self._side

    def _state(self):
        return None


class RingConnection(_stock.Connection):
    """One end of a `Pipe`.

    Any number of processes may have it, and use it at the same time: what any of them sends is a message, and each is received by one.
    When nobody has the other end any more, be it closed or be they killed, `recv` raises `EOFError` and `send` `BrokenPipeError`. A
    message whose sender is killed in the middle of it is not received; if it was so long that it came in pieces, `OSError` says so.

    `fileno()` is a socket that is readable when there is something to receive. Its bytes are not the messages: who reads them himself
    finds none. (`multiprocessing.reduction.send_handle` goes, if nothing else is on its way.)
    """

    def __init__(self, handle, readable, writable, end):
        super().__init__(handle, readable, writable)
        self._end = end

    def _close(self, _close=os.close):
        self._end.give_up()
        self._end = None
        _close(self._handle)

    def send(self, obj):
        """Sends an object, which is pickled."""
        if self._handle is None or not self._writable:
            self._check_closed()
            self._check_writable()
        self._end.send(self._handle, dumps(obj))

    def recv(self):
        """Receives an object; waits for one. `EOFError` if none will come any more."""
        if self._handle is None or not self._readable:
            self._check_closed()
            self._check_readable()
        return loads(self._end.receive(self._handle))

    def send_bytes(self, buf, offset=0, size=None):
        """Sends the bytes of an object that is like `bytes`: those from `offset` on, `size` or all of them."""
        if type(buf) is bytes and offset == 0 and size is None:
            self._check_closed()
            self._check_writable()
            self._end.send(self._handle, buf)
        else:
            super().send_bytes(buf, offset, size)

    def recv_bytes(self, maxlength=None):
        """Receives the bytes of a message; waits for one. `OSError` if it has more than `maxlength`: then nothing is received any more."""
        self._check_closed()
        self._check_readable()
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        message = self._end.receive(self._handle, maxlength)
        if message is None:
            self._bad_message_length()
        return message

    def recv_bytes_into(self, buf, offset=0):
        """Receives a message into a buffer, from its byte `offset` on, and returns how many bytes it has.

        If there is less room, `BufferTooShort` has the message.
        """
        self._check_closed()
        self._check_readable()
        with memoryview(buf) as view:
            itemsize = view.itemsize
            bytesize = itemsize * len(view)
            if offset < 0:
                raise ValueError("negative offset")
            if offset > bytesize:
                raise ValueError("offset too large")
            message = self._end.receive(self._handle)
            size = len(message)
            if bytesize < offset + size:
                raise context.BufferTooShort(message)
            with view.cast("B") as room:
                room[offset : offset + size] = message
            return size

    def _send_bytes(self, buf):
        self._end.send(self._handle, bytes(buf))

    def _poll(self, timeout):
        return self._end.poll(self._handle, timeout)

    def __reduce__(self):
        self._check_closed()
        if context.get_spawning_popen() is not None:
            handle = reduction.DupFd(self._handle)
            return _found, (type(self), handle, self._readable, self._writable, self._end)
        return _arrived, (type(self), _OnItsWay(self), self._readable, self._writable)


def _found(cls, handle, readable, writable, end):
    return cls(handle.detach(), readable, writable, end)


class _OnItsWay:
    """An end that is in a message: its two descriptors and what is needed to find it, to be fetched from this process, once."""

    def __init__(self, connection):
        from multiprocessing import resource_sharer

        end = connection._end
        self._side = end._side
        self._cookie, file, self._packed = end._pack()
        handles = [os.dup(connection._handle)]

        def send(to, pid):
            for handle in (*handles, file):
                reduction.send_handle(to, handle, pid)
            # Whoever lets go of an end before it was found may be the last one who has it.
            try:
                if end is not None and to.poll(_PATIENCE):
                    to.recv()
            except (EOFError, OSError):
                pass

        def close():
            os.close(handles.pop())

        self._id = resource_sharer._resource_sharer.register(send, close)

    def fetch(self):
        from multiprocessing import resource_sharer

        with resource_sharer._resource_sharer.get_connection(self._id) as source:
            handle = reduction.recv_handle(source)
            try:
                files = [reduction.recv_handle(source)]
                try:
                    _native.join(self._cookie, files.pop)
                finally:
                    # It was known before.
                    for file in files:
                        os.close(file)
                end = _End(*self._side, _packed=self._packed)
                source.send(None)
            except BaseException:
                os.close(handle)
                raise
        return handle, end


def _arrived(cls, on_its_way, readable, writable):
    handle, end = on_its_way.fetch()
    return cls(handle, readable, writable, end)


def Pipe(duplex=True):
    """Returns two ends that are connected: what is sent at one is received at the other.

    If it is not `duplex`, the first one receives and the second one sends.
    """
    duplex = bool(duplex)
    end = _End(duplex, 0)
    ends = end, _End(duplex, 1, _other=end)
    sockets = socket.socketpair()
    for one in sockets:
        one.setblocking(True)
    handles = [one.detach() for one in sockets]
    return (
        RingConnection(handles[0], True, duplex, ends[0]),
        RingConnection(handles[1], duplex, True, ends[1]),
    )


def wait(object_list, timeout=None):
    """Waits until one of the objects is ready, or for `timeout` seconds, and returns those that are: ends of pipes, other connections,
    sockets, sentinels of processes, and numbers of descriptors.

    An end is ready when `poll` says so: not for a message that another process has received meanwhile.
    """
    objects = list(object_list)
    if not any(isinstance(one, RingConnection) for one in objects):
        return _wait(objects, timeout)
    until = None if timeout is None else time.monotonic() + timeout
    with selectors.PollSelector() as selector:
        keys = [selector.register(one, selectors.EVENT_READ) for one in objects]
        ends = [(key.fd, key.fileobj) for key in keys if isinstance(key.fileobj, RingConnection) and key.fileobj.readable]
        while True:
            left = _LOOK if until is None else until - time.monotonic()
            is_there = any(end._end.has_some() for _, end in ends)
            told = {key.fd for key, _ in selector.select(0 if is_there else min(max(left, 0), _LOOK))}
            for fd, end in ends:
                if (fd in told or end._end.has_some()) and end.poll():
                    told.add(fd)
                else:
                    told.discard(fd)
            if told or left <= 0:
                return [key.fileobj for key in keys if key.fd in told]
