"""The command line."""

import os

# Before torch is imported: threads that wait spin for some microseconds only, then sleep. Without this, anything else that
# runs on the machine made training 6-15 times slower; sleeping at once (OMP_WAIT_POLICY=PASSIVE) made it 1.7 times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Before numpy is imported: what it solves here has some hundred rows, 2 ms with one thread, and 270 ms with two on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .app import main

__all__ = ["main"]
