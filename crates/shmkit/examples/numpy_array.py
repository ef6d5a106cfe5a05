"""The other end of numpy_array.rs: doubles the array of a file, in place.

usage: numpy_array.py FILE BYTE DTYPE LENGTH
"""

import mmap
import sys

import numpy

path, at, dtype, length = sys.argv[1:]
with open(path, "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
array = numpy.ndarray((int(length),), dtype=dtype, buffer=memory, offset=int(at))
array *= 2
print("the sum is", array.sum())
