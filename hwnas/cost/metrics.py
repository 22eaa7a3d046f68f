"""The metrics that a budget can name, their units, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10


@dataclass(frozen=True)
class Metric:
    """name: as in a budget; field: as in files, with its unit; units: suffix -> factor to the field's unit."""

    name: str
    field: str
    units: dict[str, float]
    measured: bool = False  # from a device's table, rather than computed from the blocks
    quantile: float | None = None  # of a network's single inferences, where it is one of latency

    def text(self, value: float) -> str:
        """The value with the unit that suits its size: `1.24 ms`, `96.0 kB`."""
        factor, unit = self._unit(value)
        return f"{_digits(value / factor)} {unit}".strip()

    def text_above(self, value: float) -> str:
        """The value rounded up, as a budget can be written so that this very value keeps it: `1.24ms`."""
        factor, unit = self._unit(value)
        shown = float(f"{value / factor:.3g}")
        if shown * factor < value:
            shown += 10.0 ** (floor(log10(shown)) - 2)
        return f"{_digits(shown)}{unit}"

    def _unit(self, value: float) -> tuple[float, str]:
        return max((factor, unit) for unit, factor in self.units.items() if factor <= max(abs(value), min(self.units.values())))


def _digits(value: float) -> str:
    """Three of them, and no exponent for what is large."""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "+" in text else text


_TIME = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_COUNT = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
METRICS = {
    m.name: m
    for m in (
        Metric("latency", "latency_ms", _TIME, measured=True, quantile=0.5),  # the median
        Metric("latency_p90", "latency_p90_ms", _TIME, measured=True, quantile=0.9),
        Metric("latency_p95", "latency_p95_ms", _TIME, measured=True, quantile=0.95),
        Metric("load", "load_ms", _TIME, measured=True),  # reading and preparing the file, once in a process
        Metric("energy", "energy_mj", {"nJ": 1e-6, "uJ": 1e-3, "mJ": 1.0, "J": 1e3}, measured=True),  # of one inference
        Metric("instructions", "instructions", _COUNT, measured=True),  # of one inference, in user mode
        Metric("memory", "memory_bytes", _BYTES),  # peak of activations alive at once, in the device's dtype
        Metric("size", "file_bytes", _BYTES),
        Metric("macs", "macs", _COUNT),
        Metric("params", "params", _COUNT),
    )
}
FIELDS = {m.field: m for m in METRICS.values()}
