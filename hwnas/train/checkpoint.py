"""Checkpoint: all a training run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import HwnasError
from ..space import Space
from ..supernet.elastic import Elastic
from .run import Run

WEIGHTS = "weights.safetensors"
FORMAT = 1  # 1: weights.safetensors, state.pt (optimizers, loaded with weights_only), progress.json


def save(out: Path, run: Run, done: int, identity: Mapping[str, Any], journal: Mapping[str, Any]) -> Path:
    """Writes out/checkpoints/<steps done>/ and removes those before it. A kill at any moment leaves one that is whole.

    Raises HwnasError if a weight is not finite (the last good checkpoint stays) or if the disk is full.
    """
    weights, stored = dict[str, torch.Tensor](), set[int]()
    for name, t in run.net.state_dict().items():  # a tensor that stands in two places (a user's tied weights) is written twice
        weights[name] = t.detach().clone() if t.data_ptr() in stored else t.detach().contiguous()
        stored.add(t.data_ptr())
    learned = {f"{k}.{name}": t for k, thing in run.kept.items() if isinstance(thing, nn.Module) for name, t in thing.state_dict().items()}
    if bad := [name for name, t in {**weights, **learned}.items() if t.is_floating_point() and not torch.isfinite(t).all()]:
        way_out = "lower the algorithm's lr" if bad[0] in learned else "lower recipe.lr or set recipe.clip"
        kept = newest(out)
        raise HwnasError(
            f"training: {bad[0]} is no longer finite after step {done}: {way_out}; "
            + (f"the last good checkpoint is {kept}" if kept else "there is no checkpoint before it")
        )
    progress = {"format": FORMAT, "done": done, "steps": run.steps, **identity, "journal": dict(journal)}
    if run.stop:
        progress["stopped"] = run.stop
    progress |= {"option_visits": run.option_visits(), "visits": run.visits.tolist()}
    folder = out / "checkpoints" / f"{done:08d}"
    temporary = folder.with_suffix(".part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(weights, temporary / WEIGHTS)
        torch.save({"optimizer": run.optimizer.state_dict(), **{k: v.state_dict() for k, v in run.kept.items()}}, temporary / "state.pt")
        (temporary / "progress.json").write_text(json.dumps(progress))
        for path in (*temporary.iterdir(), temporary):
            _to_disk(path)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        _to_disk(folder.parent)
        for older in folder.parent.iterdir():
            if older != folder:
                shutil.rmtree(older)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap a full disk in errors of their own
        shutil.rmtree(temporary, ignore_errors=True)
        raise HwnasError(f"checkpoint {folder} cannot be written: {error}: make room and resume; the one before it is whole") from error
    return folder


def newest(out: Path) -> Path | None:
    """The last whole checkpoint of a training folder, if it has one."""
    return max((p for p in (out / "checkpoints").glob("[0-9]*") if p.suffix != ".part"), default=None)


def read_progress(folder: Path) -> dict[str, Any]:
    """progress.json of a checkpoint. Raises HwnasError for another format version or a file that is none."""
    path = folder / "progress.json"
    try:
        progress = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise HwnasError(f"{path}: not a checkpoint's progress: {error}") from None
    if not isinstance(progress, dict) or progress.get("format") != FORMAT:
        raise HwnasError(f"{path}: format {progress.get('format') if isinstance(progress, dict) else None!r}, this hwnas reads {FORMAT}")
    return progress


def check_identity(folder: Path, stored: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raises HwnasError that names what differs between a checkpoint and the run that wants to go on from it."""
    was, now = _flat(stored), _flat(identity)
    differing = [f"{k} was {was.get(k)!r}, is {v!r}" for k, v in now.items() if was.get(k) != v]
    if differing:
        raise HwnasError(f"{folder}: belongs to another run: {'; '.join(differing)}. Set it back or train into another folder")


def load_weights(out: Path, net: nn.Module, space: Space) -> dict[str, Any]:
    """The weights of the last checkpoint in a training folder into a network of the same structure; gives its progress.

    Raises HwnasError if there is none, if it was trained on another space, or if the network is another.
    """
    folder = newest(out)
    if folder is None:
        raise HwnasError(f"{out}: no checkpoint in there: hwnas train writes one")
    progress = read_progress(folder)
    if progress["space_hash"] != space.hash:
        was = f"{progress['space']!r} ({progress['space_hash']})"
        raise HwnasError(f"{folder}: trained on space {was}, not on {space.name!r} ({space.hash}): use that space or train again")
    load_into(folder / WEIGHTS, net)
    return progress


def restore(folder: Path, run: Run) -> dict[str, Any]:
    """Weights, optimizers and visits of a checkpoint into a run; its progress."""
    progress = read_progress(folder)
    load_into(folder / WEIGHTS, run.net)
    path = folder / "state.pt"
    try:
        states = torch.load(path, weights_only=True)
        for name, thing in {"optimizer": run.optimizer, **run.kept}.items():
            thing.load_state_dict(states[name])
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise HwnasError(f"{path}: cannot be read: {type(error).__name__}: {error}".splitlines()[0]) from error
    run.visits[:] = progress["visits"]
    return progress


def make_kernel_transforms(net: nn.Module, weights: Iterable[str]) -> None:
    """Gives net the matrices between kernel sizes that weights (names) have: a net has them once an algorithm asked for them."""
    weights = list(weights)
    for name, elastic in net.named_modules():
        if isinstance(elastic, Elastic) and any(k.startswith(f"{name}.transforms.") for k in weights):
            elastic.learn_kernels()


def load_into(path: Path, net: nn.Module) -> None:
    """The weights of a .safetensors file, with the matrices between kernel sizes that some algorithms learn.

    Raises HwnasError for a file that cannot be read, or is of another network.
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HwnasError(f"{path}: cannot be read: {error}") from None
    make_kernel_transforms(net, weights)
    own = net.state_dict()
    unlike = [k for k in sorted(own.keys() | weights.keys()) if k not in own or k not in weights or own[k].shape != weights[k].shape]
    if unlike:
        there, here = (tuple(d[unlike[0]].shape) if unlike[0] in d else "missing" for d in (weights, own))
        raise HwnasError(f"{path}: of another network: {unlike[0]} is {there} there and {here} here ({len(unlike)} tensors differ)")
    net.load_state_dict(weights)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
