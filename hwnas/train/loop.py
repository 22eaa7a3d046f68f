"""train: the loop that all algorithms share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import nn

from ..data import Augment, Batches, Dataset, hold_out
from ..errors import HwnasError
from ..space import Space
from ..supernet import Supernet
from . import checkpoint
from .constraint import Constraint
from .forward import make_forward
from .options import Traits, parse_options, traits_of
from .progress import Clock, Journal, Progress, Report
from .recipe import Recipe
from .result import Result, derived
from .run import Run, Step, make_optimizer
from .task import Task
from .world import World

Algorithm = Callable[..., Step]  # (run) or (run, options)

_STEP = 2  # stream of random numbers, beside those of hwnas.data.batches and hwnas.train.run


def train(
    algorithm: Algorithm,
    net: nn.Module,
    space: Space,
    data: Dataset | Task,
    recipe: Recipe,
    out: Path,
    *,
    options: Mapping[str, Any] | None = None,
    constraint: Constraint | None = None,
    resume: bool = False,
    report: Report | None = None,
    about: Mapping[str, Any] | None = None,
    each_epoch: Callable[[], dict[str, float]] | None = None,
    checkpoint_s: float = 30.0,
    journal_steps: int = 10,
) -> Result:
    """Trains net in place. Algorithms that learn an architecture derive it at the end, checked against the constraint's budget.

    data: images with labels, or a task of one's own (its batches may have an order of their own; then a resumed run sees others).
    options: fields of the algorithm's options. constraint: the device and budget that an architecture is learned for.

    Everything random is a function of (recipe.seed, step), so a run that was killed and resumed ends with the same bits
    as one that was not (on CPU, with the same number of threads). Seed torch before making net for the same start.

    A checkpoint must agree in space, algorithm, options, data, recipe, and in what else `about` says of the run (JSON values).
    each_epoch: what to record after each epoch, e.g. validation accuracy. Raises HwnasError if out holds a run already
    and resume is off, if it belongs to another run, or on a loss that is no longer finite.
    """
    traits, chosen = traits_of(algorithm), parse_options(algorithm, options or {})
    task = data if isinstance(data, Task) else _task(data, recipe, traits)
    batches, world = task.train, World.current()
    world.check(batches.size)
    if recipe.channels_last:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.train()
    steps = recipe.epochs * batches.per_epoch
    optimizer = task.optimizer or make_optimizer(net, recipe)
    run = Run(net, space, recipe, steps, batches.per_epoch, optimizer, task.valid.at, make_forward(net, recipe))
    run.constraint, run.task_loss, run.metrics, run.own_optimizer = constraint, task.loss, task.metrics, task.optimizer is not None
    reward, held = task.reward or run.reward, task.held
    run.reward, run.world = (lambda outputs, y: world.mean({"reward": float(reward(outputs, y))})["reward"]), world
    if held is not None:
        run.arch_batch = lambda number: world.part(held.at(number))
    step = algorithm(run) if chosen is None else algorithm(run, chosen)
    identity = _identity(algorithm, net, space, task.identity, recipe) | dict(about or {}) | {"processes": world.size}
    if chosen is not None:
        identity["options"] = asdict(chosen)
    if constraint is not None:
        identity["budget"] = constraint.identity()

    last = checkpoint.newest(out)
    if last is not None and not resume:
        raise HwnasError(f"{out}: holds a training run already: go on with it (resume=True) or train into another folder")
    start, state = 0, None
    if last is not None:
        checkpoint.check_identity(last, checkpoint.read_progress(last), identity)
        progress = checkpoint.restore(last, run)
        start, state = progress["done"], progress["journal"]
        if start == steps or progress.get("stopped"):
            return _result(run, out, last, progress.get("stopped", ""))

    clock, saved, threads = Clock(), monotonic(), torch.get_num_threads()
    torch.set_num_threads(recipe.threads or threads)
    try:
        with closing(Journal(out, journal_steps, start, state)) if world.leads else nullcontext() as journal:
            for number in range(start, steps):
                torch.manual_seed(int(np.random.SeedSequence([recipe.seed, _STEP, number]).generate_state(1)[0]))
                run.set_rate(recipe.rate(number, steps, recipe.decay or run.decay))
                metrics = world.mean(run.figures(step(*world.part(batches.at(number)), number)))
                done, step_s = number + 1, clock.tick()
                if not all(map(math.isfinite, metrics.values())):
                    kept = checkpoint.newest(out)
                    raise HwnasError(
                        f"training: diverged at step {done}: {metrics}: lower recipe.lr ({recipe.lr}) or set recipe.clip; "
                        + (f"the last good checkpoint is {kept}" if kept else "there is no checkpoint before it")
                    )
                speed = {"images_per_s": batches.size / step_s}
                if journal is not None:
                    journal.add(done, metrics, {"lr": optimizer.param_groups[0]["lr"], **speed})  # algorithms with phases set their own
                if report is not None and world.leads:
                    epoch = number // batches.per_epoch + 1
                    report(Progress(epoch, recipe.epochs, done, steps, metrics, **speed, eta_s=(steps - done) * step_s))
                if each_epoch is not None and done % batches.per_epoch == 0:
                    figures = each_epoch()
                    if journal is not None:
                        journal.write(done, figures)
                    net.train()
                if done == steps or run.stop or world.leader_says(monotonic() - saved >= checkpoint_s):
                    world.average_buffers(net)
                    if journal is not None:
                        checkpoint.save(out, run, done, identity, journal.state())
                    world.wait()
                    last, saved = checkpoint.newest(out), monotonic()
                if run.stop:
                    break
    finally:
        torch.set_num_threads(threads)
    assert last is not None
    return _result(run, out, last, run.stop)


def _result(run: Run, out: Path, last: Path, stopped: str) -> Result:
    found = derived(run)
    if found is not None and run.world.leads:
        found.save(out / "derived.json", run.space)
    return Result(last, out, found, stopped)


def _task(data: Dataset, recipe: Recipe, traits: Traits) -> Task:
    images, held, augment = (
        data.train,
        None,
        Augment(recipe.shift_px, data.mirror if recipe.mirror is None else recipe.mirror, recipe.erase_px),
    )
    if traits.held_out:
        images, part = hold_out(data.train, recipe.seed, traits.held_out, len(data.train))
        held = Batches(part, recipe.batch, recipe.seed, augment)
    labels = data.train.labels.numpy().tobytes()  # another seed holds out other images
    identity = f"{data.name} {data.shape}, {len(data.train)} + {len(data.valid)} images, split {crc32(labels):08x}"
    valid = Batches(data.valid, recipe.batch, recipe.seed)
    return Task(Batches(images, recipe.batch, recipe.seed, augment), valid, held, identity=identity)


def _identity(algorithm: Algorithm, net: nn.Module, space: Space, data: str, recipe: Recipe) -> dict[str, Any]:
    return {
        "algorithm": algorithm.__name__,
        "space": space.name,
        "space_hash": space.hash,
        "share": net.share if isinstance(net, Supernet) else None,
        "data": data,
        "recipe": recipe.learned(),
    }
