"""Device side of the toy runtime."""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

API = 1


def facts(options):
    return {"name": "toy", "version": "1.0"}


class Session:
    def __init__(self, path, options):
        file = json.loads(Path(path).read_text())
        self.shapes = [tuple(shape) for shape in file["shapes"]]
        self.size = file["size"]
        self.run = getattr(self, file["does"])

    def put(self, xs):
        self.xs = xs

    def get(self):
        return self.xs[0].mean((2, 3)) * self.size

    def close(self):
        pass

    def work(self):
        for _ in range(self.size):
            np.sort(self.xs[0], axis=None)

    def sleep(self):
        time.sleep(0.002)

    def die(self):
        print("about to die", file=sys.stderr, flush=True)
        os.abort()

    def quit(self):
        os._exit(3)

    def hang(self):
        ctypes.CDLL(None).sleep(1000)

    def junk(self):
        print('{"id": 3}')
        os.write(1, b'native {"id": 2, "wall_ns": [1]} junk\n')

    def fail(self):
        raise ValueError("shape mismatch in node 7")

    def exhaust(self):
        raise MemoryError("out of memory")
