"""`hwnas export` and `hwnas run`: the last step, and all of them, up to the table of certificates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from ..architecture import short_name
from ..cost import METRICS
from ..steps import Experiment, RunFolder, deliver, load_experiment, profile_devices, summarize, train_supernet
from ..tasks import Workers
from .console import JSON, LUT, RAY, RUN, WORKERS, bar, count, say, show_json, show_table
from .search import find_winners, retime
from .settle import settle_all
from .train import announce

OUT_OR_DEFAULT = typer.Option(None, "--out", help="Folder of the run; default runs/NAME.", show_default=False)
ALSO = typer.Option(
    "",
    "--also",
    help="fp32,fp16,int8,int8-io: the same networks in these number formats, too, as ONNX and TFLite (int8-io: int8 inputs and outputs, "
    "TFLite alone). none: no others; empty keeps the run's setting.",
)


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
    experiment: str = typer.Argument(help="An experiment.toml, or a built-in one: quickstart, fashion-mnist, cifar10, every-runtime."),
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
    say(f"{space.spec}: {count(space.architectures)} architectures of {len(space.blocks)} distinct blocks; {opened.data.name}")
    opened.save()
    for name, (quietness, calibration) in profile_devices(opened, bar, workers, ray).items():
        say(f"{name}: {quietness}; left-out networks: mean error {calibration.held_out.mape:.1%}, bound + {calibration.margin:.1%}")
    announce(opened)
    train_supernet(opened, bar)
    _finish(opened, json, workers, ray)


def _finish(run: RunFolder, json: bool, workers: int, ray: str) -> None:
    """Search (if need be), export, certify, and the table."""
    retime(run)
    with Workers(workers, ray) as hands:
        for job in settle_all(run, find_winners(run, hands), hands):
            deliver(job.run, job.net, job.model, job.winner, job.scorer, bar)
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
                say(f"{row['device']}: {row['verdict']}: {row['reason']}")
            for name, file in row.get("files", {}).items():
                if file["noisiest_layers"]:
                    drop = row["accuracy_test_fp32"] - file["test"]
                    layers = ", ".join(f"{layer['layer']} {layer['sqnr_db']:.0f} dB" for layer in file["noisiest_layers"])
                    say(f"{row['device']}: int8 costs {drop:.1%} of test accuracy in {name}; noisiest layers: {layers}")
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
