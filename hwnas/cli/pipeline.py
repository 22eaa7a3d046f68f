"""The commands of the main job, one for each step and one for all: train, search, retrain, export, run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from ..architecture import short_name
from ..cost import FIELDS, METRICS, CostModel
from ..errors import HwnasError, did_you_mean
from ..score import RunScorer
from ..search import Target
from ..steps import (
    Experiment,
    RunFolder,
    deliver,
    derived_winner,
    finalist,
    load_experiment,
    load_supernet,
    profile_devices,
    retime_devices,
    retrain_winner,
    search_target,
    summarize,
    time_tails,
    train_supernet,
)
from ..steps.pareto import parse_objectives, search_front
from ..steps.retime import mistrust
from ..steps.search import Winner, make_scorer, resolve
from ..tasks import Workers
from ..train import Recipe
from .console import JSON, LUT, RAY, WORKERS, bar, console, count, show_json, show_table

RUN = typer.Argument(help="Folder of a run, as `hwnas train --out` made it.", show_default=False)
BUDGET_HELP = (
    "DEVICE:metric=value,... such as onnx-cpu:latency=2ms,memory=4MB. Metrics: latency (the median), latency_p90, latency_p95, load (of "
    "the file), memory, size, macs, params; energy and instructions where the device tells them. 1ms|2ms gives a winner for each; 30% is "
    "a share of the reachable range; 2ms@90% has to hold with a probability of 90 %, not 95; 2ms~0.5%per10% is soft: each 10 % over cost "
    "0.5 % of accuracy. Repeat for more devices."
)
BUDGET = typer.Option([], "--budget", "-b", help=BUDGET_HELP)
TRAIN_BUDGET = typer.Option([], "--budget", "-b", help=f"What an architecture is learned for. {BUDGET_HELP}")
OUT = typer.Option(..., "--out", help="Folder of the run, e.g. runs/x.")
OUT_OR_DEFAULT = typer.Option(None, "--out", help="Folder of the run; default runs/NAME.", show_default=False)
ALSO = typer.Option(
    "",
    "--also",
    help="fp32,fp16,int8,int8-io: the same networks in these number formats, too, as ONNX and TFLite (int8-io: int8 inputs and outputs, "
    "TFLite alone). none: no others; empty keeps the run's setting.",
)
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
    _say(f"{run.space.spec}: {count(run.space.architectures)} architectures; {run.data.name}: {len(run.data.train):,} images to train on")
    _announce(run)
    run.save()
    for result in train_supernet(run, bar):
        if result.stopped:
            _say(f"ended early: {result.stopped}")
        if result.derived is not None:
            _say(f"derived: {short_name(result.derived.choices)}: {result.derived.note}: {result.folder}/derived.json")
    budgets = "" if run.experiment.budgets else " --budget DEVICE:latency=2ms"
    _say(f"trained: {run.path / 'supernet'}. Next: hwnas search {out}{budgets}")


def search(
    run: Path = RUN,
    budget: list[str] = BUDGET,
    method: str = typer.Option(
        "",
        "--method",
        help="evolution, nsga2, nsga3, exact (a mixed-integer program on a fitted score seeds the evolution), surrogate (a model with "
        "uncertainty proposes), progressive, local, rl, exhaustive, random. All evaluate population x generations architectures at most, "
        "exhaustive everything. Empty keeps the run's setting.",
    ),
    generations: int = typer.Option(0, "--generations", help="0 keeps the run's setting."),
    score: str = typer.Option(
        "", "--score", help="inherited (the supernet's weights) or train (each candidate alone, from scratch; no supernet is needed)."
    ),
    epochs: int = typer.Option(0, "--epochs", help="With --score train: of each candidate; 0 keeps the run's setting."),
    share: float = typer.Option(
        0.0, "--share", help="With --score train: of the training images, such as 0.25; 0 keeps the run's setting."
    ),
    pareto: str = typer.Option(
        "",
        "--pareto",
        help="Two or three of accuracy and the metrics, such as accuracy,latency,size: the whole front below the budget, not one winner "
        "(NSGA-II; NSGA-III with --method nsga3).",
    ),
    force: bool | None = typer.Option(
        None,
        "--force/--no-force",
        help="With a table whose trust report is missing or bad; never calibrated: plain sums, no bound. Left out: the run's setting.",
        show_default=False,
    ),
    no_retime: bool = typer.Option(
        False, "--no-retime", help="Do not time five networks of each table again to see how fast the device is today."
    ),
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Finds the best architecture for each budget, with random search at equal evaluations beside it."""
    opened = RunFolder.open(run, lut)
    fields = opened.experiment.model_dump()
    if budget:
        fields["budgets"] = budget
    if method:
        fields["search"]["method"] = method
    if generations:
        fields["search"]["generations"] = generations
    fields["search"] |= {k: v for k, v in {"score": score, "epochs": epochs, "share": share}.items() if v}
    if force is not None:
        fields["search"]["force"] = force
    opened = RunFolder(run, Experiment.parse(fields, f"hwnas search {run}"), lut)
    objectives = parse_objectives(pareto) if pareto else []
    _retime(opened, again=True, skip=no_retime)
    with Workers(workers, ray) as hands:
        if objectives:
            _fronts(opened, objectives, json, hands)
            return
        winners = _search(opened, hands)
    if json:
        show_json([{"device": w.target.budget.device, "choices": opened.space.decode(w.z), **w.to_dict()} for w in winners])
        return
    rows = []
    for w in winners:
        names = w.target.metric_names
        soft = ["" if hard else " (soft)" for hard in w.target.hard]
        limits = ", ".join(f"{n} {METRICS[n].text(v)}{s}" for n, v, s in zip(names, w.target.limits, soft))
        estimate = " (estimate)" if w.estimate else ""
        upper = ", ".join(METRICS[n].text(w.upper[METRICS[n].field]) for n in names)
        rows.append((w.target.budget.device + estimate, limits, upper, f"{w.accuracy:.2%}", f"{w.random_accuracy:.2%}", w.evaluations))
    show_table("winners", ["device", "budget", "upper bound", ">accuracy (search-validation)", ">random search", ">evaluations"], rows)
    for w in winners:
        if w.note:
            _say(f"{w.target.budget.device} {w.target.budget.name}: {w.note}")
    _say(f"Next: hwnas export {run}")


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
        winners = _search(opened, hands)
    for winner in winners:
        if device and winner.target.budget.device not in device:
            continue
        own = opened.for_budget(winner.target.budget)
        net, (model, _) = load_supernet(own), resolve(own, winner.target.budget)
        chosen = finalist(own, net, model, winner, make_scorer(own, net), bar)
        retrain_winner(own, net, chosen, bar)
        if chosen.note and (top > 1 or width != 1):
            _say(f"{chosen.target.budget.device} {chosen.target.budget.name}: {chosen.note}")
    _say(f"Next: hwnas export {run}")


def export(
    run: Path = RUN,
    rules: str = typer.Option("", "--rules", help="default (3 s a file) or mlperf (60 s a file); empty keeps the run's setting."),
    also: str = ALSO,
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Writes ONNX and TFLite files for each winner and certifies them on their devices.

    Every file's accuracy is measured on the test split, in the runtime that it is made for.
    """
    opened = RunFolder.open(run, lut)
    changed: dict[str, Any] = {"rules": rules} if rules else {}
    if also:
        changed["also"] = [] if also == "none" else [kind.strip() for kind in also.split(",")]
    if changed:
        opened = RunFolder(run, Experiment.parse(opened.experiment.model_dump() | changed, "hwnas export"), lut)
    _finish(opened, json, workers, ray)


def run(
    experiment: str = typer.Argument(help="An experiment.toml, or a built-in one: quickstart, fashion-mnist, cifar10."),
    out: Path = OUT_OR_DEFAULT,
    data: str = typer.Option("", "--data", help="In place of the experiment's data: where yours lie, e.g. cifar10:FOLDER."),
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """All steps: profile, train, search, export, certify. A finished step is not done again, a changed one is."""
    loaded = load_experiment(experiment)
    if data:
        loaded = loaded.model_copy(update={"data": data})
    opened = RunFolder(out or Path("runs") / Path(experiment).stem, loaded, lut)
    space = opened.space
    _say(f"{space.spec}: {count(space.architectures)} architectures of {len(space.blocks)} distinct blocks; {opened.data.name}")
    opened.save()
    for name, (quietness, calibration) in profile_devices(opened, bar, workers, ray).items():
        _say(f"{name}: {quietness}; left-out networks: mean error {calibration.held_out.mape:.1%}, bound + {calibration.margin:.1%}")
    _announce(opened)
    train_supernet(opened, bar)
    _finish(opened, json, workers, ray)


def _announce(run: RunFolder) -> None:
    """What is about to be trained, and for whom, before it starts."""
    if run.experiment.search.score == "train":
        return _say("[search] score = train: no supernet is trained, each candidate is")
    traits, budgets, recipe = run.traits, run.experiment.parsed_budgets(), Recipe.parse(run.experiment.train.recipe)
    if not traits.learns:
        return
    if not budgets:
        _say("no budget: an architecture is learned for accuracy alone; --device onnx-cpu --budget latency=1ms learns one for a device")
        return
    n, name = len(budgets), run.experiment.train.algorithm
    counted = f"{n} budgets mean {n} supernets" if n > 1 else "1 budget means 1 supernet"
    say = f"{name} learns an architecture for one target: {counted}, {n * recipe.epochs:,} epochs in all (an epoch: {traits.epoch})"
    _say(say + ("" if traits.one_stage else f"; and each winner is retrained, {run.retraining.epochs} epochs"))


def _fronts(run: RunFolder, objectives: list[str], json: bool, workers: Workers) -> None:
    resolved, scorer = resolved_budgets(run), shared_scorer(run, workers)
    shown = []
    for model, target in resolved:
        front = search_front(run, model, target, scorer, objectives, bar)
        budget, columns = target.budget, [o if o == "accuracy" else METRICS[o].field for o in objectives]
        values, choices = [list(map(float, v)) for v in front.values], [run.space.decode(z) for z in front.codes]
        shown += [{"device": budget.device, "budget": budget.name, **dict(zip(columns, v)), "choices": c} for v, c in zip(values, choices)]
        if not json:
            text = [(lambda a: f"{a:.2%}") if o == "accuracy" else METRICS[o].text for o in objectives]
            rows = [(*(t(a) for t, a in zip(text, v)), short_name(c)) for v, c in zip(values, choices)]
            title = f"{budget.device} {budget.name}: {len(rows)} of {front.evaluations} architectures are on the front"
            heads = [">accuracy (search-validation)" if o == "accuracy" else f">{o} (bound)" for o in objectives]
            show_table(title, [*heads, "architecture"], rows)
    if json:
        show_json(shown)


def _search(run: RunFolder, workers: Workers) -> list[Winner]:
    """All budgets are resolved, and refused if they cannot be reached, before the first is searched."""
    resolved = resolved_budgets(run)
    if run.traits.learns:
        if run.experiment.search.score == "train":
            name = run.experiment.train.algorithm
            raise HwnasError(f"[search] score = 'train': {name} learns the architecture itself: take another algorithm, such as sandwich")
        run.save()
        return [derived_winner(run.for_budget(target.budget), model, target, workers) for model, target in resolved]
    scorer = make_scorer(run, load_supernet(run), workers)
    if run.experiment.search.score == "train":
        s, n = run.experiment.search, len(resolved)
        each = f"{s.population * s.generations:,} candidates, and as many at random" + (f", for each of {n} budgets" if n > 1 else "")
        _say(f"each candidate is trained for {s.epochs} epochs on {s.share:.0%} of the images: at most {each}; none is trained twice")
    run.save()
    return [search_target(run, model, target, scorer, show=bar) for model, target in resolved]


def shared_scorer(run: RunFolder, workers: Workers | None = None) -> RunScorer:
    """Raises HwnasError for a run that has a supernet for each budget, so that scores of two budgets cannot be compared."""
    if run.traits.learns:
        name = run.experiment.train.algorithm
        raise HwnasError(
            f"run {str(run.path)!r}: {name} learned one architecture for each budget: train one supernet for all: --algorithm sandwich"
        )
    return make_scorer(run, load_supernet(run), workers)


def resolved_budgets(run: RunFolder) -> list[tuple[CostModel, Target]]:
    """Each budget with its device's cost model, said on stderr. Raises HwnasError where there is none, or one cannot be reached."""
    resolved = [resolve(run, budget) for budget in run.experiment.parsed_budgets()]
    if not resolved:
        raise HwnasError(f"run {str(run.path)!r}: no budget: `hwnas search {run.path} --budget DEVICE:latency=2ms`")
    if run.experiment.search.force:
        for name in run.experiment.devices:
            if reason := mistrust(run, name):
                _say(f"{name}: FORCED although {reason}")
    for model, target in resolved:
        for name, span, limit in zip(target.metric_names, target.ranges, target.limits):
            text = METRICS[name].text
            _say(f"{target.budget.device}: {name} {text(span.low)} to {text(span.high)} reachable, budget {text(limit)}")
        if model.estimate:
            _say(f"{target.budget.device}: latencies are an ESTIMATE from a datasheet: nothing was measured")
        if model.predicted:
            _say(f"{target.budget.device}: {len(model.predicted)} of {len(run.space.blocks)} blocks predicted, not measured")
    return resolved


def _retime(run: RunFolder, again: bool = False, skip: bool = False) -> None:
    for name, drift in retime_devices(run, bar, again, skip).items():
        _say(f"{name}: {drift}" if name not in str(drift) else str(drift))
    for name, tails in ({} if skip else time_tails(run, bar)).items():
        usual = {} if isinstance(tails, str) else tails.usual
        said = tails if isinstance(tails, str) else ", ".join(f"{FIELDS[f].name} {m:.2f} times the median" for f, m in usual.items())
        _say(f"{name}: {said}" if name not in said else said)


def _finish(run: RunFolder, json: bool, workers: int, ray: str) -> None:
    """Search (if need be), export, certify, and the table."""
    _retime(run)
    with Workers(workers, ray) as hands:
        for winner in _search(run, hands):
            own = run.for_budget(winner.target.budget)
            net = load_supernet(own)
            model, _ = resolve(own, winner.target.budget)
            scorer = make_scorer(own, net, hands)
            if own.retraining.epochs:
                winner = finalist(own, net, model, winner, scorer, bar)
            deliver(own, net, model, winner, scorer, bar)
    summary = summarize(run)
    if json:
        show_json(summary)
    else:
        estimated = ", ".join(dict.fromkeys(row["device"] for row in summary["rows"] if row.get("estimate")))
        source = f"latencies of {estimated} are estimates from a datasheet" if estimated else "every number was measured here"
        note = f"{source}; files in {run.path}/devices, all figures in {run.path}/summary.json"
        show_table(f"{run.path}: {summary['data']}", *_columns(summary["rows"]), note=note)
        if run.experiment.also:
            show_table("every file, in its own runtime here", *_file_columns(summary["rows"]))
        for row in summary["rows"]:
            if row.get("reason"):
                _say(f"{row['device']}: {row['verdict']}: {row['reason']}")
            for name, file in row.get("files", {}).items():
                if file["noisiest_layers"]:
                    drop = row["accuracy_test_fp32"] - file["test"]
                    layers = ", ".join(f"{layer['layer']} {layer['sqnr_db']:.0f} dB" for layer in file["noisiest_layers"])
                    _say(f"{row['device']}: int8 costs {drop:.1%} of test accuracy in {name}; noisiest layers: {layers}")
    if any(row["verdict"] != "PASS" for row in summary["rows"]):
        raise typer.Exit(1)


def _columns(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str | Text]]]:
    ms = METRICS["latency"].text
    columns = ["device", "architecture", ">search-val.", ">test (file)", ">predicted", ">bound", ">measured", ">budget", ">used", "verdict"]
    body = []
    for r in rows:
        budget = ", ".join(METRICS[n].text(r["limits"][m.field]["budget"]) for n, m in METRICS.items() if m.field in r["limits"])
        used = f"{r['budget_used']:.0%}" if r["budget_used"] else ""
        color = {"PASS": "green", "FAIL": "red"}.get(r["verdict"], "yellow")
        body.append(
            [
                r["device"],
                short_name(r["architecture"]),
                f"{r['accuracy_search_validation']:.2%}",
                f"{r['accuracy_test']:.2%}",
                ms(r["predicted_ms"]),
                ms(r["upper_ms"]),
                ms(r["measured_ms"]),
                budget,
                used,
                Text(r["verdict"], style=color),
            ]
        )
    return columns, body


def _file_columns(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    size, body = METRICS["size"].text, []
    for r in rows:
        for name, f in r.get("files", {}).items():
            certified = "certified" if name == r["file"] else ""
            noise = "same" if f["sqnr_db"] >= 100 else f"{f['sqnr_db']:.0f} dB"
            body.append(
                [r["folder"], name, size(f["bytes"]), f"{f['test']:.2%}", f"{f['test'] - r['accuracy_test_fp32']:+.2%}", noise, certified]
            )
    return ["folder", "file", ">size", ">test", ">against torch", ">signal to noise", ""], body


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


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
