"""The command line."""

import os

# Before torch is imported: threads that wait should sleep, not spin. On a machine that anything else uses, spinning made
# training 6-15 times slower. Workers do not inherit it (see hwnas.measure.connection): they time what users would run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .app import main

__all__ = ["main"]
