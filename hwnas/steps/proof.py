"""Proof: one file timed on its device and held against its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..deploy import RULES, Timing, counts, judge, time_file, write_files
from ..deploy.certificate import proves_nothing, share_used
from ..device import Device, find_device
from ..lower import Calibration, lower
from ..profiler import load_profiler
from ..search import Target
from .progress import Show
from .run_folder import RunFolder
from .search import Winner


@dataclass(frozen=True)
class Proof:
    """One file timed on its device, held against the budget."""

    shape: tuple[int, ...]  # NCHW, of its input
    timing: Timing
    counted: dict[str, float]  # file_bytes, memory_bytes, macs, params
    verdict: str
    kept: dict[str, Any]  # field -> budget, value, keeps
    calm: dict[str, Any]  # the same by the inferences that nobody slowed, of all timings of this file

    @property
    def used(self) -> float:
        """Share of the fullest limit that is used: above 1 it is broken."""
        return share_used(self.kept)

    @property
    def reason(self) -> str | None:
        """Why it did not pass, where that is not the file's doing."""
        if self.verdict == "INCONCLUSIVE":
            return proves_nothing(self.timing)
        if self.verdict == "FAIL" and share_used(self.calm) <= 1:
            share = f"somebody slowed the core during {self.timing.slowed:.0%} of the inferences"
            return f"{share}; while nobody did, the file kept its budget: `hwnas verify` its folder in a quieter hour"
        return None

    def after(self, earlier: Proof, target: Target) -> Proof:
        """The same, with what the earlier timing of the same file adds to `calm`."""
        both = replace(self.timing, samples=earlier.timing.samples + self.timing.samples)
        return replace(self, calm=judge(target, both.calm, self.counted)[1])


def prove(
    run: RunFolder,
    winner: Winner,
    module: nn.Module,
    folder: Path,
    show: Show,
    title: str,
    also: tuple[str, ...] = (),
    calibration: Calibration | None = None,
) -> tuple[Proof, dict[str, Path]]:
    """Writes the device's own file (and those of the suffixes `also`) into folder, times it there, and judges it.

    calibration: images for the ranges of an int8 file; None does for its timing alone.
    """
    budget, rules = winner.target.budget, RULES[run.experiment.rules]
    device = find_device(budget.device, run.lut)
    suffix = load_profiler(device.runtime).suffix
    shape = (device.batch, run.data.shape[0], *run.space.input_size(winner.z))
    files = write_files(module, shape, folder, tuple(dict.fromkeys((*also, suffix))), device, calibration)
    counted = _counted(module, shape, files[suffix], device.dtype)
    with show(f"certify {budget.device} {budget.name}") as advance:
        advance(0, 1, f"{title}: {rules.samples}+ inferences in {rules.processes} processes")
        timing = time_file(device, files[suffix], rules)
    verdict, kept = judge(winner.target, timing, counted)
    return Proof(shape, timing, counted, verdict, kept, judge(winner.target, timing.calm, counted)[1]), files


def own_file(device: Device, files: Mapping[str, Path]) -> Path:
    """The one of the files that runs on the device."""
    return files[load_profiler(device.runtime).suffix]


def _counted(module: nn.Module, shape: tuple[int, ...], file: Path, dtype: str) -> dict[str, float]:
    return {"file_bytes": file.stat().st_size, **counts(lower(module, shape), dtype)}
