"""Recipe fields that say how a network is called hold in every algorithm, also where it calls the network itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import small_data, small_net, small_space
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from hwnas.errors import HwnasError
from hwnas.plugins import ALGORITHMS, load
from hwnas.train import Recipe, train

SPACE, DATA = small_space(), small_data(160)
OPTIONS = {"pbt": {"members": 2}, "smash": {"candidates": 3, "chain": 2}, "random": {"networks": 2}}


def seen(algorithm: str, out: Path, **recipe: object) -> tuple[set[int], set[torch.dtype]]:
    """(images that a BatchNorm saw at once, types that depthwise convolutions computed in)."""
    images, types = set(), set()

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d):
            images.add(len(output))
        elif isinstance(module, nn.Conv2d) and module.groups > 1:
            types.add(output.dtype)

    handle = register_module_forward_hook(look)
    try:
        chosen = Recipe(epochs=1, batch=32, **recipe)  # type: ignore[arg-type]
        train(load(ALGORITHMS, algorithm), small_net(SPACE), SPACE, DATA, chosen, out, options=OPTIONS.get(algorithm, {}))
    finally:
        handle.remove()
    return images, types


@pytest.mark.parametrize("algorithm", ["spos", "pbt", "smash", "single-path", "ofa", "random"])
def test_ghost_batch_norm_sees_parts(algorithm: str, tmp_path: Path) -> None:
    assert max(seen(algorithm, tmp_path, ghost=4)[0]) == 8


@pytest.mark.parametrize("algorithm", ["spos", "pbt", "single-path", "ofa"])
def test_bf16_is_what_it_computes_in(algorithm: str, tmp_path: Path) -> None:
    assert seen(algorithm, tmp_path, bf16=True)[1] == {torch.bfloat16}


def test_smash_refuses_bf16(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match="smash: .*switch recipe.bf16 off"):
        seen("smash", tmp_path, bf16=True)
