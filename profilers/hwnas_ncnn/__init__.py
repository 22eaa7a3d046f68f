"""ncnn."""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from torch import nn

from hwnas import profiler
from hwnas.device import Device
from hwnas.errors import HwnasError

CONVERT_LIMIT_S = 60


class Profiler(profiler.Profiler):
    """Runs networks through ncnn; pnnx converts the .onnx file that the other runtimes read.

    Its file is a .zip of ncnn's two, model.param and model.bin, and of the input shapes, which they do not hold. ncnn has no batch
    dimension. Option winograd (default true): 3x3 convolutions by Winograd's algorithm where ncnn finds that faster.
    """

    api = 1
    suffix = ".zip"
    device_module = Path(__file__).with_name("device.py")
    needs = ("ncnn", "pnnx")
    extra = "pip install 'hwnas[ncnn]'"
    options = {"winograd": True}

    def check(self, device: Device) -> None:
        if device.batch != 1:
            raise HwnasError(f"device {device.name!r}: batch = {device.batch}: ncnn runs one image at a time: batch = 1")

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_onnx

        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            Path(folder, "model.onnx").write_bytes(to_onnx(module, *shapes))
            _pnnx(Path(folder))
            members = {name: Path(folder, name).read_bytes() for name in ("model.param", "model.bin")}
        out.write_bytes(_zip({**members, "shapes.json": json.dumps(shapes).encode()}))
        return out


def _pnnx(folder: Path) -> None:
    """Converts folder/model.onnx to folder/model.param and model.bin, in fp32. Raises HwnasError with pnnx's last words."""
    spec = find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise HwnasError(f"No module named 'pnnx'. Install it with: {Profiler.extra}")
    # The binary itself: importing the package imports torch, and its console script is no more than a call of it.
    argv = [str(Path(spec.origin).with_name("pnnx")), "model.onnx", "ncnnparam=model.param", "ncnnbin=model.bin", "fp16=0"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, errors="replace", timeout=CONVERT_LIMIT_S)
    if done.returncode or not (folder / "model.bin").exists():
        words = (done.stderr or done.stdout).strip().splitlines()
        raise HwnasError(f"pnnx cannot convert this network (exit status {done.returncode}): {words[-1] if words else 'it says nothing'}")


def _zip(members: dict[str, bytes]) -> bytes:
    """The same bytes for the same members: an entry without a date of its own has 1980's."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(ZipInfo(name), data)
    return file.getvalue()
