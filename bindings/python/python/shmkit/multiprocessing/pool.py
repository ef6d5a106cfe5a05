"""Pools of processes, with the standard library's names and signatures.

It is the standard library's pool with tasks and results in shared memory, and with an answer for every task: the standard library's
`map` waits for ever when a worker is killed, and a killed worker can take a lock along that the others need.
"""

import itertools
import struct
import types
from multiprocessing import parent_process, pool, util
from multiprocessing.pool import ThreadPool

from shmkit._reduction import dumps, loads
from shmkit.multiprocessing.heap import BufferWrapper
from shmkit.multiprocessing.queues import CAPACITY, MAX_BYTES, Messages

__all__ = ["Pool", "ThreadPool", "WorkerDied"]

#: What a worker says of itself: the job and the part of it that it is at, each plus one.
_AT = struct.Struct("QQ")
#: How often a worker that has nothing to do looks whether its parent lives, in seconds.
_LOOK = 1.0


class WorkerDied(RuntimeError):
    """The process that had begun with a task ended before it had answered: it was killed, or it exited.

    The task was begun once, and nobody begins it again.
    """


#: Of the workers of this process.
_numbers = itertools.count()


#: The two functions that a part of a `map` or a `starmap` is a call of, with the user's function and some of its arguments.
_MAPPERS = (pool.mapstar, pool.starmapstar)
#: What is pickled by its name alone, so that it is the same after any number of calls.
_BY_NAME = (types.FunctionType, types.BuiltinFunctionType)


class _Tasks(Messages):
    """Tasks, and the sentinels behind them."""

    def send(self, task):
        """Puts a task. The function of a `map` is pickled once for all of its parts, which takes longer than the rest of a part."""
        if task is not None and (task[2] is _MAPPERS[0] or task[2] is _MAPPERS[1]):
            job, part, mapper, ((func, values),), _ = task
            if isinstance(func, _BY_NAME):
                if func is not getattr(self, "_func", None):
                    self._name, self._func = dumps(func), func
                task = job, part, int(mapper is _MAPPERS[1]), self._name, values
        self.put(dumps(task))


class _Functions:
    """A worker's: what a task calls, and with what."""

    def __init__(self):
        self._name = self._func = None

    def call(self, task):
        job, part, what, args, kwds = task
        if type(what) is not int:
            return job, part, what, args, kwds
        if args != self._name:
            self._func, self._name = loads(args), args
        return job, part, _MAPPERS[what], ((self._func, kwds),), {}


def _work(tasks, results, at, number, initializer, initargs, maxtasks, wrap_exception):
    """What a worker does; it says at what it is before it is the only one that knows."""
    if maxtasks is not None and not (isinstance(maxtasks, int) and maxtasks >= 1):
        raise AssertionError(f"Maxtasks {maxtasks!r} is not valid")
    if initializer is not None:
        initializer(*initargs)
    at = at.create_memoryview()
    parent, functions = parent_process(), _Functions()
    completed = 0
    while maxtasks is None or completed < maxtasks:
        while (message := tasks.hold(True, _LOOK)) is None:
            if parent is not None and not parent.is_alive():
                return
        task = loads(message)
        if task is None:
            tasks.done()
            break
        job, part, *_ = task
        _AT.pack_into(at, 0, job + 1, part + 1)
        # Killed before this, another worker gets it as well; its answer is not heard, the death is.
        tasks.done()
        func = None
        try:
            _, _, func, args, kwds = functions.call(task)
            outcome = True, func(*args, **kwds)
        except Exception as error:
            if wrap_exception and func is not pool._helper_reraises_exception:
                error = pool.ExceptionWithTraceback(error, error.__traceback__)
            outcome = False, error
        try:
            answer = dumps((number, job, part, outcome))
        except Exception as error:
            wrapped = pool.MaybeEncodingError(error, outcome[1])
            answer = dumps((number, job, part, (False, wrapped)))
        _put(results, answer, number, job, part)
        # In one store: who is killed here has answered.
        _AT.pack_into(at, 0, 0, 0)
        task = outcome = func = args = kwds = None
        completed += 1
    util.debug("worker exiting after %d tasks", completed)


def _put(results, answer, number, job, part):
    try:
        results.put(answer)
    except ValueError as error:
        # Longer than all that can lie there.
        results.put(dumps((number, job, part, (False, error))))


class _Results(Messages):
    """Answers, each from one worker, and the sentinels behind them."""

    def put(self, answer):
        super().put(answer if answer is not None else dumps(None))


class _Answers:
    """What the pool hears of its workers."""

    def __init__(self, results):
        self._results = results
        #: The last answer of each worker.
        self._last = {}
        #: What was answered by a death, and may be answered again by who got the task, too.
        self._buried = set()

    def receive(self):
        while True:
            answer = loads(self._results.get())
            if answer is None:
                return None
            number, *at, outcome = answer
            at = tuple(at)
            if isinstance(outcome, tuple):
                self._last[number] = at
                if at in self._buried:
                    self._buried.discard(at)
                    continue
                return (*at, outcome)
            # A death, behind all that the dead one had answered.
            if self._last.pop(number, None) == at:
                continue
            self._buried.add(at)
            return (*at, (False, WorkerDied(outcome)))


class _Workers(list):
    """The processes of a pool. Who is taken out of it has ended; what it was at is answered."""

    def __init__(self, results):
        self._results = results

    def __delitem__(self, index):
        worker = self[index]
        super().__delitem__(index)
        at = getattr(worker, "_shmkit_at", None)
        if at is None:
            return
        job, part = _AT.unpack_from(at.create_memoryview())
        if job and part:
            ended = f"process {worker.pid} was ended by " + (
                f"signal {-worker.exitcode}" if worker.exitcode < 0 else f"an exit with {worker.exitcode}"
            )
            self._results.put(dumps((worker._shmkit_number, job - 1, part - 1, f"{ended} in the middle of the task")))


class Pool(pool.Pool):
    """Processes that tasks are sent to.

    A worker that is killed, or that exits, in the middle of a task: `get` and `map` raise `WorkerDied`, the others go on, and another
    worker takes its place. If the pool's process is killed, its workers end.
    """

    @staticmethod
    def Process(ctx, *args, **kwds):
        tasks, results, initializer, initargs, maxtasks, wrap = kwds["args"]
        at = BufferWrapper(_AT.size)
        number = next(_numbers)
        kwds.update(target=_work, args=(tasks, results, at, number, initializer, initargs, maxtasks, wrap))
        worker = ctx.Process(*args, **kwds)
        worker._shmkit_at, worker._shmkit_number = at, number
        return worker

    def _setup_queues(self):
        self._inqueue = _Tasks(CAPACITY, MAX_BYTES)
        self._outqueue = _Results(CAPACITY, MAX_BYTES)
        self._pool = _Workers(self._outqueue)
        self._quick_put = self._inqueue.send
        self._quick_get = _Answers(self._outqueue).receive

    def _map_async(self, func, iterable, mapper, chunksize=None, callback=None, error_callback=None):
        # The parts are cut for as many workers as are wanted: who counts those that are there divides by none when all were killed.
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        if chunksize is None:
            chunksize = -(-len(iterable) // (4 * self._processes))
        return super()._map_async(func, iterable, mapper, chunksize, callback, error_callback)

    def _get_sentinels(self):
        return [self._change_notifier._reader]

    @staticmethod
    def _help_stuff_finish(inqueue, task_handler, size):
        # It may wait for room.
        while task_handler.is_alive() and inqueue.get(True, 0.01) is not None:
            pass
