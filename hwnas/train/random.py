"""Random search with stand-alone training: the baseline that every algorithm must beat (Li & Talwalkar 2019, arXiv 1902.07638)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import HwnasError
from ..gates import path
from .afresh import afresh
from .judge import judge
from .memory import Memory
from .options import Traits, at_least, traits
from .run import Run, Step

VALID_BATCHES = 8

_NETWORKS = 6  # stream of random numbers, beside those of hwnas.data.batches and hwnas.train.run


@dataclass(frozen=True)
class Random:
    networks: int = 8  # how many are tried

    def __post_init__(self) -> None:
        at_least("random", self, networks=1)


@traits(Traits(learns=True, epoch="one pass over the training images, of the architecture whose turn it is"))
def random(run: Run, options: Random) -> Step:
    """The run's steps are shared out among some random architectures; each is trained alone and from scratch.

    So it uses as many training samples as a supernet does. Each begins with fresh weights and has a learning rate schedule
    of its own; afterwards it is judged on search-validation images, and the weights that the run ends with are those
    of the best, which is derived. One-stage for that one, meaningless for all others. With a budget only architectures
    that keep it are drawn. A caller's own optimizer keeps its learning rate, and forgets what it gathered (momentum) for each network.
    """
    networks = options.networks
    if networks > run.steps:
        raise HwnasError(f"random.networks: {networks} networks in {run.steps} steps: train longer or try fewer")
    rng = np.random.default_rng([run.recipe.seed, _NETWORKS])
    Z = run.constraint.feasible.sample(networks, rng) if run.constraint else run.sample(networks, rng)
    starts = [i * run.steps // networks for i in range(networks + 1)]
    best = Memory(score=0.0, network=-1, weights={})
    run.keep(best=best)
    run.derive = lambda: Z[best["network"]][None]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        i = int(np.searchsorted(starts, number, side="right")) - 1
        if number == starts[i]:
            afresh(run)
        run.set_rate(run.recipe.rate(number - starts[i], starts[i + 1] - starts[i], run.recipe.decay or run.decay))
        run.visit(Z[i : i + 1])
        logits = run.forward(x, path(run.space, Z[i]))
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        if number + 1 == starts[i + 1]:
            score = judge(run, path(run.space, Z[i]), run.valid_batch, 0, VALID_BATCHES)
            if best["network"] < 0 or not score <= best["score"]:  # rewards have no lowest value; one that is no number ends the run
                best.update(score=score, network=i, weights={k: t.clone() for k, t in run.net.state_dict().items()})
        if number + 1 == run.steps:
            run.net.load_state_dict(best["weights"])
        judged = {"best_reward": best["score"]} if best["network"] >= 0 else {}
        return {"loss": loss.item(), "accuracy": run.reward(logits, y), **judged}

    return step
