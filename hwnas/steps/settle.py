"""Step 4: settle on an architecture whose file keeps its budget on the device, and uses it, before anything is trained further."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..cost import CostModel
from ..deploy.certificate import share_used
from ..device import find_device
from ..errors import HwnasError
from ..score import RunScorer
from .progress import Show, silent
from .proof import Proof
from .refine import refine
from .rounds import Rounds, prove_in_doubt
from .run_folder import RunFolder, read_stamped, stamp, write_json
from .search import Winner, to_winner

MAX_ROUNDS = 3
WELL_USED = 0.93  # of the fullest limit; below it the search goes on with looser ones


def settle(run: RunFolder, model: CostModel, winner: Winner, scorer: RunScorer, show: Show = silent) -> tuple[Winner, Rounds]:
    """The architecture to go on with, and the rounds that led to it; done already, they are read from settled.json.

    Winners are timed with inherited weights (weights do not change the time) until one passes and uses its budget well. When one fails,
    the margin grows by the observed error and the search goes on (a doubtful failure is timed again first, and what it took while
    nobody slowed the core is what counts); when it passes with room to spare, the limits loosen as much. At most MAX_ROUNDS; of those that
    kept the budget, the most accurate on the search-validation split. A wider network was never searched, and is taken as it is.
    """
    if found := read_stamped(_record(run, winner), _mark(run, winner)):
        settled = to_winner(winner.target, model, run.space.encode(found["choices"]), found)
        return settled, Rounds(found["rounds"], found["tighter"], settled if found["kept"] else None, found["strict"])
    rounds = Rounds()
    if run.retraining.width != 1:
        return winner, rounds
    settled = _until_one_keeps(run, model, winner, scorer, rounds, show)
    _save(run, winner, settled, rounds)
    return settled, rounds


def settle_anew(
    run: RunFolder, model: CostModel, winner: Winner, failed: Winner, proof: Proof, scorer: RunScorer, rounds: Rounds, show: Show = silent
) -> Winner | None:
    """Another architecture, after the final file of one that had been settled on for `winner` failed; None where there is none to try.

    From there on what a file takes beside a neighbour is what counts: who slows the core may do so for ever.
    """
    if run.retraining.width != 1 or rounds.finals >= MAX_ROUNDS:
        return None
    following = _search_again(run, model, failed, rounds.aim(proof.kept, proof.counted), scorer, rounds, show)
    if following is None:
        return None
    rounds.be_strict()
    if run.retraining.epochs:  # else its final file is the same as one with inherited weights
        following = _until_one_keeps(run, model, following, scorer, rounds, show)
    _save(run, winner, following, rounds)
    return following


def _until_one_keeps(run: RunFolder, model: CostModel, winner: Winner, scorer: RunScorer, rounds: Rounds, show: Show) -> Winner:
    """The rounds themselves; strict ones end with the first that passes."""
    for left in reversed(range(MAX_ROUNDS)):
        with TemporaryDirectory(prefix="hwnas-") as folder:
            title = f"round {rounds.files + 1}"
            proof = prove_in_doubt(run, winner, scorer.network(winner.z).eval(), Path(folder), rounds, show, title)[0]
        anything_will_do = rounds.strict or run.traits.learns  # a search would trade a learned architecture for one never learned
        enough, blames = 0.0 if anything_will_do else WELL_USED, rounds.blames(proof)
        if proof.verdict == "INCONCLUSIVE" or not left or enough <= share_used(blames) <= 1:
            break
        following = _search_again(run, model, winner, rounds.aim(blames, proof.counted), scorer, rounds, show)
        if following is None:
            break
        winner = following
    return rounds.kept or winner


def _search_again(
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


def _record(run: RunFolder, winner: Winner) -> Path:
    return run.of_budget(winner.target.budget) / "settled.json"


def _mark(run: RunFolder, winner: Winner) -> str:
    device, target = find_device(winner.target.budget.device, run.lut), winner.target
    return stamp(device.settings, winner.z.tolist(), target.limits.tolist(), run.experiment.rules, run.supernet.name, *target.terms)


def _save(run: RunFolder, winner: Winner, settled: Winner, rounds: Rounds) -> None:
    """settled: what was settled on for the `winner` of a search."""
    found = {
        "stamp": _mark(run, winner),
        "choices": run.space.decode(settled.z),
        "accuracy": settled.accuracy,
        "random_accuracy": settled.random_accuracy,
        "evaluations": settled.evaluations,
        "note": settled.note,
        "kept": rounds.kept is not None,
        "tighter": rounds.tighter,
        "strict": rounds.strict,
        "rounds": rounds.said,
    }
    write_json(_record(run, winner), found)
