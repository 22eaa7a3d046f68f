"""What running costs beside time: energy drawn and instructions retired, where the machine counts them.

    counters = Counters()      # early: threads started later are counted, too
    before = counters.read()   # {"energy_mj": ..., "instructions": ...}, totals; a counter the machine lacks is left out

Energy is that of the whole processor package while the block ran, what it draws when idle included (Intel's and AMD's RAPL, which Linux
shows to root only since 2020). Instructions are those of this process in user mode (Linux perf events; most virtual machines have none).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "armv7l": 364, "riscv64": 241}  # the system call's number
INSTRUCTIONS = 0, 1  # PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS
INHERIT, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6


class Counters:
    """Totals since it was made, of whatever the machine counts."""

    def __init__(self, powercap: Path = POWERCAP):
        self._packages = [package for folder in sorted(powercap.glob("*-rapl:*")) if (package := _Package.found(folder))]
        self._instructions = open_event(*INSTRUCTIONS)

    def read(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        if self._packages:
            totals["energy_mj"] = sum(package.total_uj() for package in self._packages) / 1000
        if self._instructions is not None:
            totals["instructions"] = float(struct.unpack("q", os.read(self._instructions, 8))[0])
        return totals


class _Package:
    """One RAPL domain; its counter starts again at zero every few minutes to hours."""

    def __init__(self, folder: Path, range_uj: int):
        self.file, self.range_uj, self.total = folder / "energy_uj", range_uj, 0
        self.last = int(self.file.read_text())

    @classmethod
    def found(cls, folder: Path) -> _Package | None:
        """Packages only: cores and memory are parts of one, or lie in a folder of their own kind."""
        try:
            if not (folder / "name").read_text().startswith("package"):
                return None
            return cls(folder, int((folder / "max_energy_range_uj").read_text()))
        except (OSError, ValueError):
            return None  # there is none, or it may not be read

    def total_uj(self) -> int:
        now = int(self.file.read_text())
        self.total += now - self.last if now >= self.last else now + self.range_uj - self.last
        self.last = now
        return self.total


def open_event(kind: int, event: int) -> int | None:
    """File descriptor of a Linux performance counter of this process, in user mode, and of threads it starts; None where there is none."""
    number = PERF_EVENT_OPEN.get(platform.machine())
    if number is None or platform.system() != "Linux":
        return None
    # struct perf_event_attr, version 0: type, size, config, sample period, sample type, read format, flags, and three that do not apply
    flags = INHERIT | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR
    attributes = struct.pack("IIQQQQQIIQ", kind, 64, event, 0, 0, 0, flags, 0, 0, 0)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        found = libc.syscall(ctypes.c_long(number), attributes, 0, -1, -1, ctypes.c_ulong(0))
    except (OSError, AttributeError):
        return None
    return found if found >= 0 else None
