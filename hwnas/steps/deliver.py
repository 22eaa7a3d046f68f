"""Step 5: files, and the proof that each keeps its budget."""

from __future__ import annotations

import platform
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..cost import CostModel
from ..data import to_float
from ..deploy import RULES, Timing, judge, time_file, write_files
from ..deploy.certificate import FORMAT, overshoot
from ..device import Device, find_device
from ..errors import HwnasError
from ..lower import lower
from ..measure import Worker
from ..profiler import load_profiler
from ..score import InheritedScorer
from ..supernet import Supernet, resize
from ..train import split_accuracy
from .progress import Show, silent
from .retrain import retrain_winner
from .run_folder import RunFolder, read_stamped, stamp, write_json
from .search import Winner, search_target

MAX_ROUNDS = 3


def deliver(
    run: RunFolder, net: Supernet, model: CostModel, winner: Winner, scorer: InheritedScorer, show: Show = silent
) -> dict[str, Any]:
    """Writes the winner's files, times the device's own on the device, and returns what certificate.json says.

    When it fails, the margin grows by the observed error and the search goes on, with search-validation accuracy only;
    every round stands in the certificate. The test split is read once, for the file that is final.
    """
    experiment, budget = run.experiment, winner.target.budget
    folder, rules = run.of_budget(budget), RULES[experiment.rules]
    device = find_device(budget.device, run.lut)
    suffix = load_profiler(device.runtime).suffix
    trained = [run.supernet.name, experiment.seed, run.retraining.model_dump()]
    mark = stamp(device.settings, winner.z.tolist(), winner.target.limits.tolist(), experiment.rules, trained)
    if done := read_stamped(folder / "certificate.json", mark):
        return done

    rounds, tighter = [], 1.0
    for attempt in range(MAX_ROUNDS):
        module = _module(run, net, winner, scorer, show)
        size = run.space.input_size(winner.z)
        shape = (device.batch, run.data.shape[0], *size)
        files = write_files(module, shape, folder, tuple(dict.fromkeys((".onnx", ".tflite", suffix))))
        program = lower(module, shape)
        counted = {
            "file_bytes": files[suffix].stat().st_size,
            "memory_bytes": program.peak_bytes,
            "macs": program.macs,
            "params": program.params,
        }
        with show(f"certify {budget.device} {budget.name}") as advance:
            advance(attempt, MAX_ROUNDS, f"round {attempt + 1}: {rules.samples}+ inferences in {rules.processes} processes")
            timing = time_file(device, files[suffix], rules)
        verdict, kept = judge(winner.target, timing, counted)
        rounds.append(_round(run, winner, timing, verdict, kept))
        if verdict == "PASS" or attempt == MAX_ROUNDS - 1:
            break
        if verdict == "FAIL":
            tighter /= max(overshoot(winner.target, timing), 1.0) * 1.005
            try:
                winner = search_target(run, model, winner.target, scorer, tighter, attempt + 1, show)
            except HwnasError as error:  # nothing is left below the tighter limit
                rounds[-1]["ended"] = str(error)
                break

    write_json(folder / "architecture.json", _architecture(run, winner.z))
    certificate = {
        "format": FORMAT,
        "stamp": mark,
        "verdict": verdict,
        "device": device.name,
        "fingerprint": timing.fingerprint,
        "conditions": timing.conditions,
        "budget": {"name": budget.name, **dict(zip(winner.target.fields, map(float, winner.target.limits)))},
        "limits": kept,
        "predicted": {"latency_ms": winner.predicted["latency_ms"], "upper_ms": winner.upper["latency_ms"]},
        "measured": timing.to_dict(),
        "counted": counted,
        "rules": {"name": experiment.rules, "samples": rules.samples, "processes": rules.processes, "total_s": rules.total_s},
        "rounds": rounds,
        "accuracy": {
            "search_validation_inherited": winner.accuracy,
            "search_validation_random_search": winner.random_accuracy,
            "search_validation": split_accuracy(module, run.data.valid, size),
            **_tested(run, module, size, files[suffix], device),
        },
        "retrained": run.retraining.model_dump() if run.retraining.epochs else None,
        "input": {
            "shape": list(shape),
            "layout": "NHWC" if suffix == ".tflite" else "NCHW",
            "range": [0, 1],
            "resize": "bilinear, antialiased",
        },
        "files": {p.name: {"sha256": sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size} for p in files.values()},
        "certified_file": files[suffix].name,
        "host": platform.platform(),
    }
    write_json(folder / "certificate.json", certificate)
    return certificate


def _module(run: RunFolder, net: Supernet, winner: Winner, scorer: InheritedScorer, show: Show) -> nn.Module:
    if run.retraining.epochs:
        return retrain_winner(run, net, winner, show)
    return scorer.network(winner.z).eval()


def _tested(run: RunFolder, module: nn.Module, size: tuple[int, int], file: Path, device: Device) -> dict[str, Any]:
    """The only place where a run reads its test split: accuracy of the file in its own runtime, and parity with torch."""
    test = run.data.test_at_the_end()
    x = torch.cat([resize(to_float(test.images[i : i + 500]), size) for i in range(0, len(test), 500)])
    with torch.inference_mode():
        expected = torch.cat([module(x[i : i + 500]) for i in range(0, len(x), 500)]).numpy()
    with Worker(device, load_profiler(device.runtime)) as worker:
        got = worker.predict(file, x.numpy())
    labels = test.labels.numpy()
    return {
        "test": float((got.argmax(1) == labels).mean()),
        "test_images": len(labels),
        "parity": {
            "max_abs_error": float(np.abs(got - expected).max()),
            "top1_agreement": float((got.argmax(1) == expected.argmax(1)).mean()),
        },
    }


def _round(run: RunFolder, winner: Winner, timing: Timing, verdict: str, kept: dict[str, Any]) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "choices": run.space.decode(winner.z),
        "search_validation_accuracy": winner.accuracy,
        "predicted_ms": winner.predicted["latency_ms"],
        "upper_ms": winner.upper["latency_ms"],
        "measured_ms": timing.percentile_ms(0.5),
        "limits": kept,
    }


def _architecture(run: RunFolder, z: np.ndarray) -> dict[str, Any]:
    return {"space": run.space.spec, "space_hash": run.space.hash, "choices": run.space.decode(z)}
