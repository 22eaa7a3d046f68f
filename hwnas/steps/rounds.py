"""Rounds: the files that were tried for one budget, until one of them keeps it and uses it well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
from torch import nn

from ..deploy.certificate import share_used
from ..lower import Calibration
from .progress import Show
from .proof import Proof, prove
from .run_folder import RunFolder
from .search import Winner

AIM = 0.97  # of a measured limit: where the next round is sent. The machine's speed wanders
INHERITED, FINAL = "inherited weights", "final file"  # what a round was a timing of
PAUSES = (0.0, 0.25, 0.75)  # of the experiment's patience: neighbours stay for tenths of a second, or for minutes
MOSTLY = 0.5  # of a timing's inferences: where somebody slowed the core during more, a FAIL may be his and not the file's


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

    def add(self, run: RunFolder, winner: Winner, proof: Proof, of: str, again: bool = False) -> None:
        """again: the file of the round before was timed once more."""
        self.said.append({"of": of, "again": again, **_words(run, winner, proof, self.tighter)})
        keeps = proof.verdict != "INCONCLUSIVE" and share_used(self.blames(proof)) <= 1
        if keeps and (self.kept is None or winner.accuracy >= self.kept.accuracy):
            self.kept = winner

    @property
    def files(self) -> int:
        """How many were tried; one that was timed again counts once."""
        return sum(not words["again"] for words in self.said)

    @property
    def finals(self) -> int:
        """How many of them were final files."""
        return sum(not words["again"] and words["of"] == FINAL for words in self.said)

    def passed(self, winner: Winner) -> bool:
        """Whether a file of this architecture kept the budget in an earlier round, or would have without a neighbour."""
        return self.kept is not None and np.array_equal(self.kept.z, winner.z)

    def doubtful(self, winner: Winner, proof: Proof, of: str, again: bool) -> bool:
        """Whether a FAIL is to be timed once more: the architecture had passed, or the core was not ours while it was timed.

        A file that is judged by what it takes beside a neighbour (the final one; any, when rounds are strict) is timed more than once
        again, for as long as the neighbour may be all that is wrong with it.
        """
        if proof.verdict != "FAIL":
            return False
        his = proof.timing.slowed > MOSTLY
        if again:
            return (self.strict or of == FINAL) and (his or share_used(proof.calm) <= 1)
        return his or self.passed(winner)

    def aim(self, kept: Mapping[str, Any], counted: Mapping[str, float]) -> float:
        """The factor under which a file measured like this one would just keep its measured limits."""
        hard = {f: k for f, k in kept.items() if not k.get("soft")}
        measured = [k["value"] / k["budget"] for f, k in hard.items() if f not in counted]
        return self.tighter * AIM / max(measured) if measured else self.tighter


def prove_in_doubt(
    run: RunFolder,
    winner: Winner,
    module: nn.Module,
    folder: Path,
    rounds: Rounds,
    show: Show,
    title: str,
    of: str = INHERITED,
    also: tuple[str, ...] = (),
    calibration: Calibration | None = None,
) -> tuple[Proof, dict[str, Path]]:
    """`prove`, and once more after each of PAUSES while a failure is doubtful; all stand in the rounds, the last one counts."""
    proof, files = prove(run, winner, module, folder, show, title, also, calibration)
    again, pauses_s = False, [share * run.experiment.patience_s for share in PAUSES]
    for pause_s in pauses_s if run.experiment.patience_s else pauses_s[:1]:
        doubtful = rounds.doubtful(winner, proof, of, again)
        rounds.add(run, winner, proof, of, again)
        if not doubtful:
            return proof, files
        _wait(pause_s, winner, show)
        again, earlier = True, proof
        proof, files = prove(run, winner, module, folder, show, f"{title} again", also, calibration)
        proof = proof.after(earlier, winner.target)
    rounds.add(run, winner, proof, of, again)
    return proof, files


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


def _wait(pause_s: float, winner: Winner, show: Show) -> None:
    if pause_s:
        with show(f"certify {winner.target.budget.device} {winner.target.budget.name}") as advance:
            advance(0, 1, f"somebody slows the core: waiting {pause_s:.0f} s")
            sleep(pause_s)
