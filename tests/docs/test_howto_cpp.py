"""docs/howto-cpp.md: the program that stands there is compiled and says what the file says in its own runtime."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "deploy"))
from bundles import make_bundle
from safetensors.numpy import load_file

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto-cpp.md"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("g++"), reason="no cmake or no g++ here")
@pytest.mark.skipif(find_spec("openvino") is None, reason="no openvino here: pip install 'hwnas[openvino]'")
def test_the_program_compiles_and_finds_the_class(tmp_path: Path) -> None:
    import openvino

    page = PAGE.read_text()
    (tmp_path / "classify.cpp").write_text(re.findall(r"```cpp\n(.*?)```", page, re.S)[0])
    (tmp_path / "CMakeLists.txt").write_text(re.findall(r"```cmake\n(.*?)```", page, re.S)[0])
    found = f"-DOpenVINO_DIR={openvino.__path__[0]}/cmake"
    for words in (["-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release", found], ["--build", "build"]):
        done = subprocess.run(["cmake", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    make_bundle(tmp_path / "bundle", "onnx-cpu", also=("int8",))
    sample = load_file(tmp_path / "bundle/sample.safetensors")
    x = sample["input"][0]
    x.tofile(tmp_path / "nchw.f32")
    np.ascontiguousarray(x.transpose(1, 2, 0)).tofile(tmp_path / "nhwc.f32")
    for name in ("model.onnx", "model.tflite"):
        image = "nchw.f32" if name.endswith(".onnx") else "nhwc.f32"
        done = subprocess.run(["build/classify", f"bundle/{name}", image], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        logits = sample[f"output.{name}"][0]
        told = re.fullmatch(r"class (\d+), logit (\S+), \S+ us\n", done.stdout)
        assert told and int(told[1]) == logits.argmax() and float(told[2]) == pytest.approx(logits.max(), rel=1e-3), done.stdout
    short = tmp_path / "short.f32"
    short.write_bytes(b"1234")
    assert subprocess.run(["build/classify", "bundle/model.onnx", "short.f32"], cwd=tmp_path, capture_output=True).returncode == 2
