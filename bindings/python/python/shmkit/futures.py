"""An executor, as `concurrent.futures` has it, on a pool of processes of shmkit."""

import os
from concurrent import futures

__all__ = ["ProcessPoolExecutor"]


class ProcessPoolExecutor(futures.Executor):
    """Runs calls in processes.

    If a process is killed in the middle of a call, this call's future raises `shmkit.WorkerDied`; all others go on. (The standard
    library's fails them all, and runs nothing any more.)
    """

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=(), *, max_tasks_per_child=None):
        from shmkit.multiprocessing import get_context
        from shmkit.multiprocessing.pool import Pool

        context = mp_context if mp_context is not None else get_context()
        workers = max_workers if max_workers is not None else os.cpu_count() or 1
        self._pool = Pool(workers, initializer, initargs, max_tasks_per_child, context=context)
        self._pending = set()
        self._closed = False

    def submit(self, fn, /, *args, **kwargs):
        """Has ``fn(*args, **kwargs)`` run in one of the processes."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = futures.Future()
        # Who waits in line for a process cannot be told from who has one.
        future.set_running_or_notify_cancel()
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._pool.apply_async(fn, args, kwargs, callback=future.set_result, error_callback=future.set_exception)
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Lets nothing begin any more, and waits for what has begun. `cancel_futures` ends what is not done."""
        if not self._closed:
            self._closed = True
            self._pool.terminate() if cancel_futures else self._pool.close()
        if cancel_futures:
            for future in list(self._pending):
                future.set_exception(futures.CancelledError())
        if wait:
            self._pool.join()
