"""MNN."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from torch import nn

from hwnas import profiler
from hwnas.device import Device
from hwnas.errors import HwnasError

CONVERT_LIMIT_S = 60
# The function behind the console script `mnnconvert`; the script itself installs a package and reports what it converted.
# In a process of its own: it prints to stdout, and ends its process where it cannot go on.
CONVERT = "import sys, _tools; _tools.mnnconvert(['mnnconvert', '-f', 'ONNX', '--modelFile', sys.argv[1], '--MNNModel', sys.argv[2]])"
UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Profiler(profiler.Profiler):
    """Runs .mnn files on the CPU through MNN, converted from the .onnx file that the other runtimes read."""

    api = 1
    suffix = ".mnn"
    device_module = Path(__file__).with_name("device.py")
    needs = ("MNN", "_tools")
    extra = "pip install 'hwnas[mnn]'"

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_onnx

        onnx = to_onnx(module, *shapes)
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            source, converted = Path(folder, "model.onnx"), Path(folder, "model.mnn")
            source.write_bytes(onnx)
            argv = [sys.executable, "-I", "-c", CONVERT, str(source), str(converted)]
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=CONVERT_LIMIT_S)
            if not converted.exists():
                words = (done.stderr or done.stdout).strip().splitlines()
                said = words[-1] if words else "it says nothing"
                raise HwnasError(f"MNN cannot convert this network (exit status {done.returncode}): {said}")
            mnn = converted.read_bytes()
        # It gives every file a random id: one that follows from the network makes the same bytes each time.
        out.write_bytes(UUID.sub(str(uuid5(NAMESPACE_OID, onnx.hex())).encode(), mnn, count=1))
        return out
