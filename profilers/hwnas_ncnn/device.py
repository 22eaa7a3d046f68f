"""Device side: ncnn on the CPU. Its tensors have no batch dimension; it computes in fp16 only where the dtype says so."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any
from zipfile import ZipFile

import ncnn
import numpy as np

API = 1
ALLOCATES = True


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "ncnn", "version": ncnn.__version__}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        self.net = ncnn.Net()
        settings = self.net.opt
        settings.num_threads = options["threads"]
        settings.use_vulkan_compute = False
        settings.use_bf16_storage = False
        settings.use_fp16_packed = settings.use_fp16_storage = settings.use_fp16_arithmetic = options["dtype"] == "fp16"
        settings.use_winograd_convolution = options.get("winograd", True)
        with ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            self.shapes = [tuple(shape) for shape in json.loads(archive.read("shapes.json"))]
            files = [os.path.join(folder, name) for name in ("model.param", "model.bin")]
            for file in files:
                archive.extract(os.path.basename(file), folder)
            if self.net.load_param(files[0]) or self.net.load_model(files[1]):
                raise ValueError("ncnn cannot read model.param and model.bin")
        self.inputs, self.output = sorted(self.net.input_names(), key=_number), self.net.output_names()[0]

    def put(self, xs: list[np.ndarray]) -> None:
        # Clones own their memory, and count who refers to it: a layer that works in place overwrites an array of numpy's, and may crash.
        self.xs = [(name, ncnn.Mat(np.ascontiguousarray(x[0])).clone()) for name, x in zip(self.inputs, xs)]

    def run(self) -> None:
        extractor = self.net.create_extractor()
        for name, x in self.xs:
            extractor.input(name, x)
        status, self.y = extractor.extract(self.output)
        if status:
            raise ValueError(f"ncnn: extracting {self.output!r} gave status {status}")

    def get(self) -> np.ndarray:
        return np.array(self.y)[None]

    def close(self) -> None:
        self.net.clear()


def _number(name: str) -> int:
    """Inputs are in0, in1, ...: in10 comes after in9."""
    return int(name[2:])
