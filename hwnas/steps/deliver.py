"""Step 6: files, and the proof that each keeps its budget."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..cost import CostModel
from ..data import to_float
from ..deploy import (
    MAX_DROP,
    RULES,
    calibration_images,
    file_accuracy,
    layer_errors,
    outputs_here,
    outputs_of,
    tested_on,
    write_bundle,
    write_variants,
)
from ..deploy.certificate import FORMAT
from ..device import Device, find_device
from ..lower import lower
from ..score import RunScorer
from ..supernet import Supernet, resize
from ..train import split_accuracy
from .progress import Show, silent
from .proof import own_file
from .retime import table_facts
from .retrain import retrain_winner
from .rounds import FINAL, prove_in_doubt
from .run_folder import RunFolder, read_stamped, stamp, write_json
from .search import Winner
from .settle import settle, settle_anew

ALWAYS = (".onnx", ".tflite", ".safetensors")  # suffixes of the files in every bundle
LAYER_SAMPLES = 16  # batches of training images on which the layers of an int8 file are compared


def deliver(run: RunFolder, net: Supernet, model: CostModel, winner: Winner, scorer: RunScorer, show: Show = silent) -> dict[str, Any]:
    """Trains what was settled on further if asked for, writes its files, and returns what certificate.json says.

    Every round stands in the certificate; should the final file fail where its architecture had passed, the search goes on
    from there, with search-validation accuracy only. The test split is read once, for the file that is final.
    """
    experiment, budget = run.experiment, winner.target.budget
    folder, rules = run.of_budget(budget), RULES[experiment.rules]
    device = find_device(budget.device, run.lut)
    trained = [run.supernet.name, experiment.seed, run.retraining.model_dump()]
    also = [experiment.also] if experiment.also else []
    mark = stamp(device.settings, winner.z.tolist(), winner.target.limits.tolist(), experiment.rules, trained, *winner.target.terms, *also)
    if done := read_stamped(folder / "certificate.json", mark):
        return done

    searched = winner
    winner, rounds = settle(run, model, searched, scorer, show)
    while True:
        module = _module(run, net, winner, scorer, show)
        images = calibration_images(run.data.train, run.space.input_size(winner.z), device.batch, seed=experiment.seed)
        proof, files = prove_in_doubt(run, winner, module, folder, rounds, show, "the final file", FINAL, ALWAYS, images)
        another = settle_anew(run, model, searched, winner, proof, scorer, rounds, show) if proof.verdict == "FAIL" else None
        if another is None:
            break
        winner = another

    file, size = own_file(device, files), run.space.input_size(winner.z)
    others = write_variants(module, proof.shape, folder, experiment.also, device, images)
    write_json(folder / "architecture.json", _architecture(run, winner.z))
    certificate: dict[str, Any] = {
        "format": FORMAT,
        "stamp": mark,
        "verdict": proof.verdict,
        "reason": proof.reason,
        "device": device.name,
        "dtype": device.dtype,
        "fingerprint": proof.timing.fingerprint,
        "conditions": proof.timing.conditions,
        "table": table_facts(run, device.name),
        "budget": {"name": budget.name, **dict(zip(winner.target.fields, map(float, winner.target.limits)))},
        "limits": proof.kept,
        "predicted": {"latency_ms": winner.predicted["latency_ms"], "upper_ms": winner.upper["latency_ms"]},
        "measured": proof.timing.to_dict(),
        "counted": proof.counted,
        "rules": {"name": experiment.rules, "samples": rules.samples, "processes": rules.processes, "total_s": rules.total_s},
        "rounds": rounds.said,
        "accuracy": {
            "search_validation_inherited": winner.accuracy,
            "search_validation_random_search": winner.random_accuracy,
            "search_validation": split_accuracy(module, run.data.valid, size),
            **_tested(run, module, size, files, others, device, show),
        },
        "retrained": run.retraining.model_dump() if run.retraining.epochs else None,
        "input": {
            "shape": list(proof.shape),
            "layout": "NHWC" if file.suffix == ".tflite" else "NCHW",
            "range": [0, 1],
            "resize": "bilinear, antialiased",
        },
        "data": {"name": run.data.name, "classes": list(run.data.classes), "calibration_images": len(images) * device.batch},
        "certified_file": file.name,
        "host": platform.platform(),
    }
    for path in (*files.values(), *others):
        tested = certificate["accuracy"]["files"][path.name]
        int8 = "-int8" in path.stem or (device.dtype == "int8" and path in files.values())
        if int8 and certificate["accuracy"]["test_fp32"] - tested["test"] > MAX_DROP:
            tested["layer_errors"] = layer_errors(module, proof.shape, path.read_bytes(), path.suffix, images[:LAYER_SAMPLES])
    certificate["files"] = write_bundle(folder, lower(module, proof.shape), device, files, others, certificate)
    write_json(folder / "certificate.json", certificate)
    return certificate


def _module(run: RunFolder, net: Supernet, winner: Winner, scorer: RunScorer, show: Show) -> nn.Module:
    if run.retraining.epochs:
        return retrain_winner(run, net, winner, show)
    return scorer.network(winner.z).eval()


def _tested(
    run: RunFolder, module: nn.Module, size: tuple[int, int], files: dict[str, Path], others: list[Path], device: Device, show: Show
) -> dict[str, Any]:
    """The only place where a run reads its test split: accuracy of each file in its own runtime, and parity with torch in fp32.

    The device's own file runs on the device; where that gives no outputs (a phone's benchmark_model), in the same runtime here, and
    the certificate says so.
    """
    test = run.data.test_at_the_end()
    x = torch.cat([resize(to_float(test.images[i : i + 500]), size) for i in range(0, len(test), 500)])
    with torch.inference_mode():
        expected = torch.cat([module(x[i : i + 500]) for i in range(0, len(x), 500)]).numpy()
    labels = test.labels.numpy()
    with show(f"test the files for {device.name}") as advance:
        tested = {}
        for done, file in enumerate([*files.values(), *others]):
            advance(done, len(files) + len(others), f"{file.name} on {len(labels):,} images")
            y = outputs_here(file, device.batch, x.numpy()) if file in others else outputs_of(file, device, x.numpy())
            tested[file.name] = file_accuracy(y, expected, labels) | {"bytes": file.stat().st_size}
        advance(len(tested), len(tested), f"on {len(labels):,} images")
    return {
        **tested[own_file(device, files).name],
        "test_images": len(labels),
        "tested_on": tested_on(device),
        "test_fp32": float((expected.argmax(1) == labels).mean()),
        "files": tested,
    }


def _architecture(run: RunFolder, z: np.ndarray) -> dict[str, Any]:
    width = {"width": run.retraining.width} if run.retraining.width != 1 else {}  # times as many channels as the space says
    return {"space": run.space.spec, "space_hash": run.space.hash, **width, "choices": run.space.decode(z)}
