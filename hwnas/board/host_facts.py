"""What is to be known about the machine a block runs on: what it is (identity) and how it happens to be (conditions).

Rows measured under different identities are never mixed; conditions are recorded and pass. Every fact is best effort:
where the system does not tell, the fact is left out.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
SIMD = "avx2 fma f16c avx512f avx512_vnni avx_vnni amx_int8 amx_bf16 avx512_fp16 asimd asimddp asimdhp i8mm bf16 sve sve2".split()


_MALLOC: dict[str, str] = {}  # how this process was told to allocate: see keep_freed_memory


def identity() -> dict[str, Any]:
    """Processor, cores, instruction sets, frequency policy, operating system, Python: what a latency depends on and what stays."""
    cpu, flags = _cpuinfo()
    facts = {
        "cpu": cpu,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "simd": [s for s in SIMD if s in flags],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
        "os": platform.system() + " " + platform.release(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **_MALLOC,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def conditions() -> dict[str, Any]:
    """Load average, temperature and frequency: what was so when it was asked."""
    facts = {
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "temperature_c": _hottest(),
        "frequency_mhz": _frequency(),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed, as jemalloc and tcmalloc do; elsewhere nothing happens.

    By itself it gives the top of the heap back to the system after each large enough free, and whether a network's tensors lie there is
    luck: with PyTorch a network of 224 px took 1,258 page faults an inference and 5.3 ms in one process, none and 3.0 ms in the next.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    if mallopt(M_TRIM_THRESHOLD, -1) and (mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 32 << 20)):
        _MALLOC["freed_memory"] = "kept"


def usable_cores() -> list[int] | None:
    """The cores this process may run on, or None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def fastest_core(cores: list[int]) -> int:
    """The core of the highest maximum frequency, the last among equals: interrupts and the rest of the system prefer the first."""

    def speed(core: int) -> tuple[int, int, int]:
        folder = f"/sys/devices/system/cpu/cpu{core}/"
        return int(_read(folder + "cpufreq/cpuinfo_max_freq") or 0), int(_read(folder + "cpu_capacity") or 0), core

    return max(cores, key=speed)


def pin(core: int | str) -> None:
    """Keeps the process on a core: a core number, "auto" (the fastest) or "off". Raises ValueError for a core it may not use."""
    cores = usable_cores()
    if core == "off" or cores is None:
        return
    if core == "auto":
        core = fastest_core(cores)
    if core not in cores:
        raise ValueError(f"pin: core {core} is not among the cores this process may use: {', '.join(map(str, cores))}")
    os.sched_setaffinity(0, {int(core)})


def reset_peak_rss() -> bool:
    """Starts a new peak of resident memory; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def peak_rss_bytes() -> int | None:
    """Peak resident memory of the whole process since the last reset, or None."""
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError):
        return None


def _cpuinfo() -> tuple[str | None, set[str]]:
    """(model name, set of flags), from Linux's cpuinfo where there is one; ARM names parts by number only."""
    fields: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    part = f"{fields.get('CPU implementer')} part {fields['CPU part']}" if "CPU part" in fields else None
    model = fields.get("model name") or fields.get("Hardware") or part or platform.processor() or None
    return model, set((fields.get("flags") or fields.get("Features") or "").split())


def _turbo() -> bool | None:
    """Whether the processor may exceed its base frequency, or None where it cannot be told."""
    no_turbo = _read("/sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _read("/sys/devices/system/cpu/cpufreq/boost")
    if no_turbo is not None:
        return no_turbo == "0"
    return None if boost is None else boost == "1"


def _hottest() -> float | None:
    zones = [_read(zone) for zone in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    degrees = [int(t) / 1000 for t in zones if t and t.lstrip("-").isdigit()]
    return max(degrees, default=None)


def _frequency() -> int | None:
    khz = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    return int(khz) // 1000 if khz else None
