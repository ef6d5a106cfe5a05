"""kills.py MODULE SCENE: somebody is killed, and the others go on, or do not. MODULE is `multiprocessing` or shmkit's."""

import importlib
import os
import signal
import sys
import threading
import time

multiprocessing = importlib.import_module(sys.argv[1])
context = multiprocessing.get_context("fork")


def started(target, *arguments):
    child = context.Process(target=target, args=arguments, daemon=True)
    child.start()
    return child


def kill(child):
    os.kill(child.pid, signal.SIGKILL)
    child.join()


def sleeps(pid):
    """Whether a process sleeps in the kernel, as far as that can be told."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0] == "S"


def asleep(child):
    calm = 0
    while calm < 20:
        calm = calm + 1 if sleeps(child.pid) else 0
        time.sleep(0.005)


def hold(lock, held):
    lock.acquire()
    held.set()
    signal.pause()


def holder():
    lock, held = context.Lock(), context.Event()
    child = started(hold, lock, held)
    held.wait()
    kill(child)
    lock.acquire()


def wait(condition, ready):
    with condition:
        ready.release()
        condition.wait()


def waiter():
    condition, ready = context.Condition(), context.Semaphore(0)
    child = started(wait, condition, ready)
    ready.acquire()
    with condition:
        kill(child)
        condition.notify()


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def worker():
    with context.Pool(2) as pool:
        try:
            pool.map(die, [0], chunksize=1)
        except Exception:
            pass
        pool.map(abs, range(10))


def get(queue):
    queue.get()


def consumer(queue=None):
    queue = queue or context.Queue()
    child = started(get, queue)
    asleep(child)
    kill(child)
    queue.put(1)
    queue.get()


def simple():
    consumer(context.SimpleQueue())


def take(queue, taken):
    queue.get()
    taken.set()
    signal.pause()


def task():
    queue, taken = context.JoinableQueue(), context.Event()
    queue.put("work")
    child = started(take, queue, taken)
    taken.wait()
    kill(child)

    def work():
        while True:
            queue.get()
            queue.task_done()

    threading.Thread(target=work, daemon=True).start()
    queue.join()


globals()[sys.argv[2]]()
print("went on", flush=True)
# Not in order: what hangs there is another question.
os._exit(0)
