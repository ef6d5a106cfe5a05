"""Adds to a counter that programs in four languages share: Python, by the C library."""

import ctypes
import sys

library, segment_name, times = sys.argv[1:]
shmkit = ctypes.CDLL(library)
shmkit.shmkit_last_error.restype = ctypes.c_char_p
OK, OWNER_DIED, I64, LIMIT = 0, 1, 6, ctypes.c_int64(60_000)


def check(status):
    if status != OK:
        sys.exit(f"{status}: {shmkit.shmkit_last_error().decode()}")


segment, lock, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
check(shmkit.shmkit_segment_open(segment_name.encode(), ctypes.byref(segment)))
check(shmkit.shmkit_mutex_open(segment, b"lock", ctypes.byref(lock)))
check(shmkit.shmkit_value_open(segment, b"count", I64, ctypes.byref(count)))
data, one = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_int64(1)
for _ in range(int(times)):
    status = shmkit.shmkit_mutex_lock(lock, LIMIT)
    if status == OWNER_DIED:
        print("inherited", flush=True)
        check(shmkit.shmkit_mutex_make_consistent(lock))
    else:
        check(status)
    check(shmkit.shmkit_mutex_data(lock, ctypes.byref(data)))
    data[0] += 1
    check(shmkit.shmkit_mutex_unlock(lock))
    check(shmkit.shmkit_value_add(count, ctypes.byref(one), None))
shmkit.shmkit_value_close(count)
shmkit.shmkit_mutex_close(lock)
shmkit.shmkit_segment_close(segment)
