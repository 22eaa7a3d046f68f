"""Scores from several processes, one of which is killed: the same bits, in the same order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import load_data
from hwnas.errors import HwnasError
from hwnas.score import InheritedScorer, scoring_work
from hwnas.score.remote import scores
from hwnas.spaces import load_space
from hwnas.supernet import Supernet
from hwnas.supernet.elastic import Elastic
from hwnas.tasks import LocalPool


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(tmp_path: Path) -> None:
    data, space = load_data("digits", 3), load_space("quickstart", {"channels": 1, "size": 8, "classes": 10})
    torch.manual_seed(0)
    net = Supernet(space, True).eval()
    Z = space.sample(12, np.random.default_rng(0))
    alone = InheritedScorer(net, data, valid_images=200, cache=tmp_path / "alone.jsonl")
    expected = alone.score(Z)

    several = InheritedScorer(net, data, valid_images=200, cache=tmp_path / "several.jsonl")
    pool = several.pool = LocalPool(scoring_work(several, "quickstart", "digits", 3, tmp_path), 2)
    killed: list[int] = []

    def report(done: int, total: int) -> None:
        if not killed:
            killed.append(pool.pids[0])
            os.kill(killed[0], signal.SIGKILL)

    several.report = report
    found = several.score(Z)
    assert found.tolist() == expected.tolist() and len(set(expected)) > 3
    assert (tmp_path / "several.jsonl").read_text() == (tmp_path / "alone.jsonl").read_text()
    assert killed and killed[0] not in pool.pids

    other = scoring_work(several, "quickstart", "digits", 4, tmp_path)  # other images are held out
    pool.close()
    pool = LocalPool(other, 1)
    with pytest.raises(HwnasError, match="cannot begin: data 'digits': its images are others here"):
        list(pool.run([Z[0].tolist()]))
    pool.close()


SMALL = "mobilenet(widths=((8,),), strides=(2,), depth=1, kernels=(3, 5), expands=(2,), squeezes=(0,), acts=('relu',), resolutions=(8,))"


def test_a_worker_knows_the_matrices_between_kernel_sizes(tmp_path: Path) -> None:
    """Once-for-all learns them: weights that a plain supernet has not."""
    data, space = load_data("digits", 3), load_space(SMALL, {"channels": 1, "size": 8, "classes": 10})
    torch.manual_seed(0)
    net = Supernet(space, True).eval()
    for matrix in [p for m in net.modules() if isinstance(m, Elastic) for p in m.learn_kernels()]:
        torch.nn.init.normal_(matrix)
    here = InheritedScorer(net, data, valid_images=200, recalibration_images=64)
    work = scoring_work(here, SMALL, "digits", 3, tmp_path)
    there = scores(work.setup, work.files)
    for z in space.sample(3, np.random.default_rng(0)):
        assert there(z.tolist(), lambda *_: None) == here.accuracy(z)
