"""Settle on an architecture whose file keeps its budget on the device, and uses it, before anything is trained further."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

import numpy as np
from torch import nn

from ..cost import CostModel
from ..deploy.certificate import share_used
from ..errors import HwnasError
from ..lower import Calibration
from ..score import RunScorer
from .progress import Show, silent
from .proof import Proof, prove
from .refine import refine
from .rounds import INHERITED, Rounds
from .run_folder import RunFolder
from .search import Winner

MAX_ROUNDS = 3
PAUSES = (0.0, 0.25, 0.75)  # of the experiment's patience: neighbours stay for tenths of a second, or for minutes
WELL_USED = 0.93  # of the fullest limit; below it the search goes on with looser ones


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


def _wait(pause_s: float, winner: Winner, show: Show) -> None:
    if pause_s:
        with show(f"certify {winner.target.budget.device} {winner.target.budget.name}") as advance:
            advance(0, 1, f"somebody slows the core: waiting {pause_s:.0f} s")
            sleep(pause_s)
