"""ncnn."""

from __future__ import annotations

import json
import logging
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
_log = logging.getLogger(__name__)


class Profiler(profiler.Profiler):
    """Runs networks through ncnn.

    Its file is a .zip of ncnn's two, model.param and model.bin, and of the input shapes, which they do not hold. ncnn has no batch
    dimension. Option winograd (default true): 3x3 convolutions by Winograd's algorithm where ncnn finds that faster. In fp16 weights are
    stored, and arithmetic is done, in fp16 where the CPU has it (ARM since v8.2). What hwnas's own writer does not know is converted by
    ncnn's converter, pnnx, where that is installed.
    """

    api = 1
    suffix = ".zip"
    device_module = Path(__file__).with_name("device.py")
    needs = ("ncnn",)
    extra = "pip install 'hwnas[ncnn]'"
    dtypes = ("fp32", "fp16")
    options = {"winograd": True}

    def check(self, device: Device) -> None:
        if device.batch != 1:
            raise HwnasError(f"device {device.name!r}: batch = {device.batch}: ncnn runs one image at a time: batch = 1")

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import UnknownOp, lower, write_ncnn

        try:
            param, weights = write_ncnn(lower(module, *shapes), half=device.dtype == "fp16")
        except UnknownOp as error:
            if find_spec("pnnx") is None:
                raise UnknownOp(f"{error}; or let ncnn's own converter write it: pip install pnnx") from error
            _log.warning("%s; converting with pnnx, which is slower", error)
            param, weights = _pnnx(module, shapes, half=device.dtype == "fp16")
        out.write_bytes(_zip({"model.param": param, "model.bin": weights, "shapes.json": json.dumps(shapes).encode()}))
        return out


def _pnnx(module: nn.Module, shapes: tuple[tuple[int, ...], ...], half: bool) -> tuple[bytes, bytes]:
    """model.param and model.bin, by way of an .onnx file. Raises HwnasError with pnnx's last words."""
    from hwnas.lower import to_onnx

    spec = find_spec("pnnx")
    assert spec and spec.origin
    # The binary itself: importing the package imports torch, and its console script is no more than a call of it.
    argv = [str(Path(spec.origin).with_name("pnnx")), "model.onnx", "ncnnparam=model.param", "ncnnbin=model.bin", f"fp16={int(half)}"]
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        Path(folder, "model.onnx").write_bytes(to_onnx(module, *shapes))
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, errors="replace", timeout=CONVERT_LIMIT_S)
        files = [Path(folder, name) for name in ("model.param", "model.bin")]
        if done.returncode or not all(file.exists() for file in files):
            words = (done.stderr or done.stdout).strip().splitlines()
            said = words[-1] if words else "it says nothing"
            raise HwnasError(f"pnnx cannot convert this network (exit status {done.returncode}): {said}")
        param, weights = (file.read_bytes() for file in files)
    return param, weights


def _zip(members: dict[str, bytes]) -> bytes:
    """The same bytes for the same members: an entry without a date of its own has 1980's."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(ZipInfo(name), data)
    return file.getvalue()
