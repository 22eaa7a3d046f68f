"""Settle on an architecture whose file keeps its budget on the device, and uses it, before anything is trained further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from ..cost import CostModel
from ..deploy import RULES, Timing, counts, judge, time_file, write_files
from ..deploy.certificate import proves_nothing, share_used
from ..device import Device, find_device
from ..errors import HwnasError
from ..lower import Calibration, lower
from ..profiler import load_profiler
from ..score import RunScorer
from ..search import Target
from .progress import Show, silent
from .refine import refine
from .run_folder import RunFolder
from .search import Winner

MAX_ROUNDS = 3
WELL_USED = 0.93  # of the fullest limit; below it the search goes on with looser ones
AIM = 0.97  # of a measured limit: where the next round is sent. The machine's speed wanders
MOSTLY = 0.5  # of a timing's inferences: where somebody slowed the core during more, a FAIL may be his and not the file's


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


@dataclass
class Rounds:
    """What was tried for one budget: each round in words of the certificate, and the best that kept it."""

    said: list[dict[str, Any]] = field(default_factory=list)
    tighter: float = 1.0  # factor on measured limits for the next search
    kept: Winner | None = None
    strict: bool = False  # what a neighbour costs counts against an architecture, too: he has failed a final file

    def blames(self, proof: Proof) -> dict[str, Any]:
        """What speaks against the architecture, or for more: `kept`, but where it failed what it took while nobody slowed the core."""
        return proof.kept if self.strict or proof.verdict == "PASS" else proof.calm

    def be_strict(self) -> None:
        """From now on only what passes is kept."""
        self.strict, self.kept = True, None

    def add(self, run: RunFolder, winner: Winner, proof: Proof, of: str = "inherited weights", again: bool = False) -> None:
        """again: the file of the round before was timed once more."""
        self.said.append({"of": of, "again": again, **_words(run, winner, proof, self.tighter)})
        keeps = proof.verdict != "INCONCLUSIVE" and share_used(self.blames(proof)) <= 1
        if keeps and (self.kept is None or winner.accuracy >= self.kept.accuracy):
            self.kept = winner

    @property
    def files(self) -> int:
        """How many were tried; one that was timed again counts once."""
        return sum(not words["again"] for words in self.said)

    def passed(self, winner: Winner) -> bool:
        """Whether a file of this architecture kept the budget in an earlier round, or would have without a neighbour."""
        return self.kept is not None and np.array_equal(self.kept.z, winner.z)

    def doubtful(self, winner: Winner, proof: Proof) -> bool:
        """Whether a FAIL is to be timed once more: the architecture had passed, or the core was not ours while it was timed."""
        return proof.verdict == "FAIL" and (self.passed(winner) or proof.timing.slowed > MOSTLY)

    def aim(self, kept: Mapping[str, Any], counted: Mapping[str, float]) -> float:
        """The factor under which a file measured like this one would just keep its measured limits."""
        hard = {f: k for f, k in kept.items() if not k.get("soft")}
        measured = [k["value"] / k["budget"] for f, k in hard.items() if f not in counted]
        return self.tighter * AIM / max(measured) if measured else self.tighter


def settle(run: RunFolder, model: CostModel, winner: Winner, scorer: RunScorer, rounds: Rounds, show: Show = silent) -> Winner:
    """Times winners with inherited weights (weights do not change the time) until one passes and uses its budget well.

    When it fails, the margin grows by the observed error and the search goes on (a doubtful failure is timed again first, and what it
    took while nobody slowed the core is what counts); when it passes with room to spare, the limits loosen as much. At most MAX_ROUNDS;
    of those that kept the budget, the most accurate on the search-validation split. Strict rounds end with the first that passes.
    """
    for left in reversed(range(MAX_ROUNDS)):
        with TemporaryDirectory(prefix="hwnas-") as folder:
            title = f"round {rounds.files + 1}"
            proof = prove_in_doubt(run, winner, scorer.network(winner.z).eval(), Path(folder), rounds, show, title)[0]
        anything_will_do = rounds.strict or run.traits.learns  # a search would trade a learned architecture for one never learned
        enough, blames = 0.0 if anything_will_do else WELL_USED, rounds.blames(proof)
        if proof.verdict == "INCONCLUSIVE" or not left or enough <= share_used(blames) <= 1:
            break
        tighter = rounds.aim(blames, proof.counted)
        if (following := search_again(run, model, winner, tighter, scorer, rounds, show)) is None:
            break
        winner = following
    return rounds.kept or winner


def search_again(
    run: RunFolder, model: CostModel, winner: Winner, tighter: float, scorer: RunScorer, rounds: Rounds, show: Show
) -> Winner | None:
    """The winner with measured limits at `tighter` times the budget; None when that is no other one, and why stands in the rounds."""
    before, rounds.tighter = rounds.tighter, tighter
    if rounds.tighter == before:
        rounds.said[-1]["ended"] = "no measured limit to move"
        return None
    try:
        found = refine(run, model, winner, scorer, rounds.tighter, rounds.files, show)
    except HwnasError as error:  # nothing is left below the tighter limit
        rounds.said[-1]["ended"] = str(error)
        return None
    if np.array_equal(found.z, winner.z):
        rounds.said[-1]["ended"] = "the same architecture again"
        return None
    return found


def prove_in_doubt(
    run: RunFolder,
    winner: Winner,
    module: nn.Module,
    folder: Path,
    rounds: Rounds,
    show: Show,
    title: str,
    of: str = "inherited weights",
    also: tuple[str, ...] = (),
    calibration: Calibration | None = None,
) -> tuple[Proof, dict[str, Path]]:
    """`prove`, and once more where a failure is doubtful; both stand in the rounds, the later one counts."""
    proof, files = prove(run, winner, module, folder, show, title, also, calibration)
    doubtful = rounds.doubtful(winner, proof)
    rounds.add(run, winner, proof, of)
    if doubtful:
        earlier = proof
        proof, files = prove(run, winner, module, folder, show, f"{title} again", also, calibration)
        proof = proof.after(earlier, winner.target)
        rounds.add(run, winner, proof, of, again=True)
    return proof, files


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


def _words(run: RunFolder, winner: Winner, proof: Proof, tighter: float) -> dict[str, Any]:
    return {
        "verdict": proof.verdict,
        "choices": run.space.decode(winner.z),
        "search_validation_accuracy": winner.accuracy,
        "predicted_ms": winner.predicted["latency_ms"],
        "upper_ms": winner.upper["latency_ms"],
        "measured_ms": proof.timing.percentile_ms(0.5),
        "searched_with_limits_times": round(tighter, 6),
        "slowed": round(proof.timing.slowed, 4),
        "used": round(proof.used, 4),
        "used_calm": round(share_used(proof.calm), 4),
        "limits": proof.kept,
    }
