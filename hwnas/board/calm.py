"""Calm: is the core ours alone? A fixed computation, timed beside what is measured, tells of neighbours that no clock shows.

A core's other hardware thread may belong to somebody else, on a virtual machine to somebody never seen. While it is busy everything here
takes up to 1.7 times as long, CPU time too, for tenths of a second or for minutes, and neither load nor steal time shows it. A vector
computation in the first-level cache feels it at once: undisturbed it stays within 15 % of its best, beside a neighbour it is 60 % slower
at most times, and 3 ms of inferences between two undisturbed ones were hardly ever slower than usual, where half of all had been.
"""

from __future__ import annotations

import time

import numpy as np

_WARM, _ROUNDS, _VALUES = 4, 40, 4096  # 50 us; 2 x 16 kB, back in the first-level cache when the clock starts


class Calm:
    """How slow the core is now, and waiting until it is not.

    Waiting pays where calm and busy times alternate. Where a while of it brings none, it is not tried again until one is seen; nor is more
    than half of this object's life spent so.
    """

    share = 0.5
    slowed = 1.25  # times the best: above it somebody else is at work

    def __init__(self) -> None:
        memory = np.ones(3 * _VALUES, np.float32)
        page = -memory.ctypes.data // 4 % 1024  # from its start, and half a page apart: where malloc lays them would be worth 15 %
        self._x, self._y = memory[page : page + _VALUES], memory[page + _VALUES + 512 : page + 2 * _VALUES + 512]
        self._born, self._waited_s, self._hopeless = time.perf_counter(), 0.0, False
        self.best_ns = min(self._reference_ns() for _ in range(20))

    def learn(self, best_ns: int | None) -> None:
        """What an earlier worker on this machine knew: a new one may have been born beside a busy neighbour."""
        self.best_ns = min(self.best_ns, best_ns or self.best_ns)

    def look(self) -> int:
        """How long the computation takes now, in ns; a little more than its best is usual."""
        now_ns = self._reference_ns()
        self.best_ns = min(self.best_ns, now_ns)
        self._hopeless = self._hopeless and self.is_slow(now_ns)
        return now_ns

    def is_slow(self, reference_ns: int) -> bool:
        """Whether somebody else was at work then."""
        return reference_ns > self.slowed * self.best_ns

    @property
    def patient(self) -> bool:
        """Whether waiting may bring anything."""
        return not self._hopeless and self._waited_s < self.share * (time.perf_counter() - self._born)

    def wait(self, patience_s: float) -> int:
        """`look`, again and again until the core is calm, for no longer than patience_s."""
        began = last = time.perf_counter()
        while self.is_slow(now_ns := self.look()) and self.patient:
            now = time.perf_counter()
            self.spent(now - last)
            last, self._hopeless = now, now - began >= patience_s
        return now_ns

    def spent(self, seconds: float) -> None:
        """Adds what a neighbour cost in another way."""
        self._waited_s += seconds

    def _reference_ns(self) -> int:
        for _ in range(_WARM):
            np.multiply(self._x, 1.0001, out=self._y)
        start = time.perf_counter_ns()
        for _ in range(_ROUNDS):
            np.multiply(self._x, 1.0001, out=self._y)
        return time.perf_counter_ns() - start
