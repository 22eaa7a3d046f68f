"""Device side: MNN on the CPU, by its module interface: its sessions write over their input in the first run."""

from __future__ import annotations

from typing import Any

import MNN
import numpy as np
from MNN import expr
from MNN import nn as mnn

API = 1


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "mnn", "version": MNN.version()}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        # Precision "high" is fp32 everywhere; "normal" is fp16 on ARM.
        runtime = mnn.create_runtime_manager(({"backend": "CPU", "numThread": options["threads"], "precision": "high"},))
        inputs = {name: tuple(var.shape) for name, var in expr.load_as_dict(path).items() if var.op_type == "Input"}
        names = sorted(inputs, key=lambda name: int(name[len("input") :] or 0))
        self.shapes = [inputs[name] for name in names]
        self.module = mnn.load_module_from_file(path, names, ["output"], runtime_manager=runtime)

    def put(self, xs: list[np.ndarray]) -> None:
        self.xs = []
        for x in xs:
            var = expr.placeholder(list(x.shape), expr.NCHW if x.ndim == 4 else expr.NHWC)
            var.write(np.ascontiguousarray(x))
            self.xs.append(var)

    def run(self) -> None:
        self.ys = self.module.onForward(self.xs)

    def get(self) -> np.ndarray:
        y = self.ys[0]
        return np.array(expr.convert(y, expr.NCHW).read() if len(y.shape) == 4 else y.read())

    def close(self) -> None:
        del self.module
