"""`hwnas train` and `hwnas retrain`: a supernet, and winners alone."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import typer

from ..architecture import short_name
from ..errors import HwnasError, did_you_mean
from ..steps import Experiment, RunFolder, load_experiment, retrain_winner, train_supernet
from ..steps.retime import mistrust
from ..tasks import Workers
from ..train import Recipe
from .console import LUT, RAY, RUN, WORKERS, bar, count, say
from .search import BUDGET_HELP, find_winners
from .settle import settle_all

TRAIN_BUDGET = typer.Option([], "--budget", "-b", help=f"What an architecture is learned for. {BUDGET_HELP}")
OUT = typer.Option(..., "--out", help="Folder of the run, e.g. runs/x.")
SET = typer.Option([], "--set", help="A field of the training recipe: lr=0.1, batch=128, ...")


def train(
    space: str = typer.Option(..., "--space", help="Name, name(key=value, ...), or file.py:function."),
    data: str = typer.Option(..., "--data", help="digits, fashion-mnist, cifar10, a folder, a .npz, or file.py:function."),
    out: Path = OUT,
    algorithm: str = typer.Option("sandwich", "--algorithm", help="A name that `hwnas algorithms` lists, or file.py:function."),
    device: str = typer.Option("", "--device", help="The device of budgets that name none. For algorithms that learn an architecture."),
    budget: list[str] = TRAIN_BUDGET,
    option: list[str] = typer.Option([], "--option", help="An option of the algorithm: `hwnas algorithms NAME` lists them."),
    epochs: int = typer.Option(10, "--epochs"),
    own: bool = typer.Option(False, "--own-weights", help="Weights of its own for each option, not slices of shared ones."),
    set: list[str] = SET,
    seed: int = typer.Option(0, "--seed"),
    lut: Path = LUT,
) -> None:
    """Trains a supernet: one for all devices, or, where the algorithm learns an architecture, one for each budget.

    Killed, the same command goes on bit for bit where it was.
    """
    recipe = {"epochs": epochs, **settings_of(set)}
    train = {"algorithm": algorithm, "share": not own, "recipe": recipe, "options": settings_of(option)}
    fields: dict[str, Any] = {"data": data, "space": space, "seed": seed, "train": train}
    if (out / "experiment.toml").exists():
        before = load_experiment(out / "experiment.toml")
        fields |= before.model_dump(include={"budgets", "rules", "also", "profile", "search", "retrain"})
    if budget:
        fields["budgets"] = [b if ":" in b or not device else f"{device}:{b}" for b in budget]
    elif device:
        raise HwnasError(f"--device {device}: give its budget, too: --budget latency=2ms")
    run = RunFolder(out, Experiment.parse(fields, "hwnas train"), lut)
    say(f"{run.space.spec}: {count(run.space.architectures)} architectures; {run.data.name}: {len(run.data.train):,} images to train on")
    announce(run)
    run.save()
    for result in train_supernet(run, bar):
        if result.stopped:
            say(f"ended early: {result.stopped}")
        if result.derived is not None:
            say(f"derived: {short_name(result.derived.choices)}: {result.derived.note}: {result.folder}/derived.json")
    budgets = "" if run.experiment.budgets else " --budget DEVICE:latency=2ms"
    say(f"trained: {run.path / 'supernet'}. Next: hwnas search {out}{budgets}")


def retrain(
    run: Path = RUN,
    epochs: int = typer.Option(5, "--epochs"),
    device: list[str] = typer.Option([], "--device", help="Only winners for this device. Repeat for more; default all."),
    top: int = typer.Option(1, "--top", min=1, help="Train so many of the best that the search found; the best of them is exported."),
    width: float = typer.Option(1.0, "--width", help="Times as many channels in every block, from scratch: searched small, deployed wide."),
    scratch: bool = typer.Option(False, "--scratch", help="Start from fresh weights instead of the supernet's."),
    set: list[str] = SET,
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
) -> None:
    """Trains winners alone; `hwnas export` then takes those weights.

    --set distill=0.5: half of the loss comes from the supernet's largest network.
    """
    opened = RunFolder.open(run, lut)
    fields = opened.experiment.model_dump() | {
        "retrain": {"epochs": epochs, "inherit": not scratch, "top": top, "width": width, "recipe": settings_of(set)}
    }
    opened = RunFolder(run, Experiment.parse(fields, "hwnas retrain"), lut)
    for name in device:
        if opened.experiment.devices and name not in opened.experiment.devices:  # none at all: the search says so
            raise did_you_mean("--device", name, opened.experiment.devices)
    with Workers(workers, ray) as hands:
        found = [(m, w) for m, w in find_winners(opened, hands) if not device or w.target.budget.device in device]
        for job in settle_all(opened, found, hands):
            retrain_winner(job.run, job.net, job.settled, bar)
            if job.settled.note and (top > 1 or width != 1):
                say(f"{job.settled.target.budget.device} {job.settled.target.budget.name}: {job.settled.note}")
    say(f"Next: hwnas export {run}")


def announce(run: RunFolder) -> None:
    """What is about to be trained, and for whom, before it starts."""
    if run.experiment.search.score == "train":
        return say("[search] score = train: no supernet is trained, each candidate is")
    traits, budgets, recipe = run.traits, run.experiment.parsed_budgets(), Recipe.parse(run.experiment.train.recipe)
    if not traits.learns:
        return
    if not budgets:
        say("no budget: an architecture is learned for accuracy alone; --device onnx-cpu --budget latency=1ms learns one for a device")
        return
    for device in run.experiment.devices:
        if reason := mistrust(run, device):
            say(f"{device}: `hwnas search` will refuse its table unless it is forced: {reason}")
    n, name = len(budgets), run.experiment.train.algorithm
    counted = f"{n} budgets mean {n} supernets" if n > 1 else "1 budget means 1 supernet"
    said = f"{name} learns an architecture for one target: {counted}, {n * recipe.epochs:,} epochs in all (an epoch: {traits.epoch})"
    say(said + ("" if traits.one_stage else f"; and each winner is retrained, {run.retraining.epochs} epochs"))


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """lr=0.1 mirror=true -> values, as TOML reads them."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            found[key] = {"true": True, "false": False}[value] if value in ("true", "false") else ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found
