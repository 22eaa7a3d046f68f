"""model_card: the README.md of a bundle: what the network is, how good, how quick, and how to run it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..cost import METRICS
from .certificate import word

_WHAT = {
    "model.onnx": "for ONNX Runtime, OpenVINO and others",
    "model.tflite": "for LiteRT (TensorFlow Lite); images are NHWC",
    "model.safetensors": "the weights of model.py, and the program for hwnas' torch devices; fp32",
    "model.py": "the network in plain torch, one class; needs no hwnas",
    "model.h": "model.tflite as a C array, for microcontrollers",
    "architecture.json": "the choices that were made in the search space",
    "sample.safetensors": "a few synthetic inputs and what each file made of them; `hwnas verify` compares",
    "certificate.json": "every figure below and more, and the files' hashes",
    "README.md": "this card",
}


def model_card(certificate: Mapping[str, Any], names: Sequence[str]) -> str:
    """Markdown, made of the certificate alone; names: of the files in the bundle."""
    c, accuracy = certificate, certificate["accuracy"]
    shape = c["input"]["shape"]
    classes = c["data"]["classes"]
    ms = METRICS["latency"].text
    host, runtime = c["fingerprint"].get("host", {}), c["fingerprint"].get("runtime", {})
    measured, counted = c["measured"], c["counted"]
    limits = [
        (METRICS[m].text(k["budget"]), METRICS[m].text(k["value"]), m, word(k))
        for m, metric in METRICS.items()
        if (k := c["limits"].get(metric.field))
    ]
    size = f"{len(classes)} classes, {counted['params']:,} parameters, {counted['macs'] / 1e6:.3g} M multiply-accumulates"
    named = ", ".join(map(_one_line, classes[:100])) + (" ..." if len(classes) > 100 else "")
    ranges = f" Ranges for int8 are from {c['data']['calibration_images']} training images." if c["dtype"] == "int8" else ""
    parts = [
        f"# A network for {c['device']}",
        f"An image classifier ({size}) found by hwnas for the device `{c['device']}` ({runtime.get('name')} {runtime.get('version')}, "
        f"{c['dtype']}). Certificate: **{c['verdict']}**.",
        _table(["budget", "limit", "measured or counted", ""], [(m, limit, value, keeps) for limit, value, m, keeps in limits]),
        "## Data and accuracy",
        f"Trained on {_one_line(c['data']['name'])}. Test accuracy is on {accuracy['test_images']:,} images that no step before saw, of "
        f"each file in its own runtime; the torch module in fp32 has {accuracy['test_fp32']:.2%}.{ranges}",
        _table(
            ["file", "size", "test accuracy", "same answer as torch"],
            [
                (f"`{name}`", METRICS["size"].text(f["bytes"]), f"{f['test']:.2%}", f"{f['parity']['top1_agreement']:.2%}")
                for name, f in accuracy["files"].items()
            ],
        ),
        *(text for name, f in accuracy["files"].items() if f.get("layer_errors") for text in _noisiest(name, f["layer_errors"])),
        f"Classes, in the order of the outputs: {named}.",
        "## Latency",
        f"`{c['certified_file']}`, batch {shape[0]}: median {ms(measured['p50_ms'])} (at most {ms(measured['p50_upper_ms'])} at 95 % "
        f"confidence), p90 {ms(measured['p90_ms'])}, p95 {ms(measured['p95_ms'])}, over {measured['samples']:,} single inferences in "
        f"{len(measured['processes'])} fresh processes; during {measured['preempted']} of them another process had the core, "
        f"during {measured['slowed']} somebody slowed it from outside.",
        f"Conditions: {_one_line(host.get('cpu') or c['host'])}, {c['fingerprint'].get('device', {}).get('threads', 1)} thread(s). "
        "On another machine the figures are others: `hwnas verify .` measures them there.",
        "## Input",
        f"Images of {shape[2]} x {shape[3]}, {shape[1]} channel(s), float32 in {c['input']['range'][0]}..{c['input']['range'][1]}, not "
        f"normalised further; resized {c['input']['resize']}. ONNX and torch take {tuple(shape)}, TFLite "
        f"{(shape[0], *shape[2:], shape[1])}. The output is one logit per class.",
        "## How to run it",
        _RUN.format(shape=tuple(shape), nhwc=(shape[0], *shape[2:], shape[1])),
        "## Files",
        _table(["file", "what it is"], [(f"`{name}`", _what(name, c["device"])) for name in dict.fromkeys(names)]),
    ]
    return "\n\n".join(parts) + "\n"


_RUN = """ONNX Runtime:

```python
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
logits = session.run(None, {{"input": numpy.zeros({shape}, "float32")}})[0]
```

LiteRT (an int8 file takes float32 too, unless it was exported with int8 inputs and outputs):

```python
import numpy
from ai_edge_litert.interpreter import Interpreter
model = Interpreter("model.tflite")
model.allocate_tensors()
model.set_tensor(model.get_input_details()[0]["index"], numpy.zeros({nhwc}, "float32"))
model.invoke()
logits = model.get_tensor(model.get_output_details()[0]["index"])
```

PyTorch: `python model.py`, or `from model import load; logits = load()(x)`.

Does it keep its budget here? `hwnas verify .` (it runs no code of this folder)."""


def _noisiest(name: str, layers: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [(f"`{_one_line(row['layer'])}`", row["at"], f"{row['sqnr_db']:.1f}") for row in layers[:5]]
    return [
        f"int8 costs more than 1 % of accuracy in `{name}`. The noisiest layers:",
        _table(["layer", "place", "signal to noise, dB"], rows),
    ]


def _what(name: str, device: str) -> str:
    if name in _WHAT or not (variant := re.fullmatch(r"model-(fp32|fp16|int8|int8-io)(\.\w+)", name)):
        return _WHAT.get(name, f"for {device}")
    if variant[2] == ".h":
        return f"model-{variant[1]}.tflite as a C array, for microcontrollers"
    kind = {"int8-io": "int8, inputs and outputs, too"}.get(variant[1], variant[1])
    return f"the same in {kind}; not timed on the device"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _one_line(text: object) -> str:
    """Names come from data sets and machines: no markup and no line breaks in them."""
    return "".join(ch for ch in str(text).replace("|", "/").replace("`", "'") if ch.isprintable())[:200]
