"""What `hwnas COMMAND --help` ends with: lines to copy. Tests parse each of them with the command's own options."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "devices": ("hwnas devices", "hwnas devices --json"),
    "device": ("hwnas device add pi --ssh pi@raspberrypi.local --runtime tflite --install",),
    "device probe": ("hwnas device probe pi --seconds 180",),
    "device remove": ("hwnas device remove pi",),
    "spaces": ("hwnas spaces", 'hwnas spaces "mobilenet(size=96, classes=5)"'),
    "profile": (
        "hwnas profile onnx-cpu --space mobilenet --data fashion-mnist",
        'hwnas profile pi --space "mobilenet(size=96, classes=5)" --blocks 200',
    ),
    "transfer": ("hwnas transfer pi --from onnx-cpu,tflite-cpu --space mobilenet --networks 10",),
    "check": ("hwnas check onnx", "hwnas check tflite --device pi"),
    "lut": ("hwnas lut show onnx-cpu", "hwnas lut diff pi pi-with-cooler"),
    "lut show": ("hwnas lut show onnx-cpu --slowest 20",),
    "lut check": ("hwnas lut check", "hwnas lut check pi received/pi"),
    "lut diff": ("hwnas lut diff pi pi-with-cooler",),
    "lut merge": ("hwnas lut merge pi monday/pi --to pi-merged",),
    "lut export": ("hwnas lut export pi pi.csv", "hwnas lut export pi shared/pi"),
    "lut import": ("hwnas lut import my.csv --device mine --unit us",),
    "lut trust": ("hwnas lut trust onnx-cpu",),
    "algorithms": ("hwnas algorithms", "hwnas algorithms ofa"),
    "train": (
        "hwnas train --space mobilenet --data fashion-mnist --out runs/x --epochs 20",
        "hwnas train --space mobilenet --data cifar10:FOLDER --out runs/y --algorithm fbnet --device onnx-cpu --budget latency=2ms",
    ),
    "health": ("hwnas health runs/x --networks 20 --epochs 5",),
    "search": (
        'hwnas search runs/x --budget "onnx-cpu:latency=200us|400us,size=400kB" --budget pi:latency=30%',
        "hwnas search runs/x --pareto accuracy,latency",
    ),
    "fleet": ("hwnas fleet runs/x --within 0.5%",),
    "retrain": ("hwnas retrain runs/x --epochs 5 --set lr=0.02",),
    "export": ("hwnas export runs/x", "hwnas export runs/x --also fp16,int8,int8-io"),
    "run": ("hwnas run quickstart", "hwnas run experiment.toml --out runs/x"),
    "verify": ("hwnas verify runs/x/devices/onnx-cpu", "hwnas verify received-bundle --device tflite-cpu"),
    "audit": ("hwnas audit runs/x/devices/tflite-cpu-int8/model.tflite", "hwnas audit model.onnx --device onnx-cpu"),
    "report": ("hwnas report runs/x", "hwnas report runs/x --out talk.html"),
    "ui": ("hwnas ui runs/x", "hwnas ui runs/x --port 8000"),
}


def epilog(command: str) -> str | None:
    """The examples of a command as a list in markdown."""
    lines = EXAMPLES.get(command, ())
    title = "Examples:" if len(lines) > 1 else "Example:"
    return "\n\n".join([title, *(f"- `{line}`" for line in lines)]) if lines else None
