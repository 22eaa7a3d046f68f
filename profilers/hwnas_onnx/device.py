"""Device side: ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort

API = 1


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "onnxruntime", "version": ort.__version__}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        settings = ort.SessionOptions()
        # ALL, the default: a lower level drops the NCHWc layout, which is five times slower on x86.
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.intra_op_num_threads = options["threads"]
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        self.session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.inputs = self.session.get_inputs()
        self.shapes = [tuple(i.shape) for i in self.inputs]

    def put(self, xs: list[np.ndarray]) -> None:
        # Bound once, so that a run is the network and not the passing of arrays.
        self.binding = self.session.io_binding()
        for description, x in zip(self.inputs, xs):
            self.binding.bind_cpu_input(description.name, np.ascontiguousarray(x))
        for output in self.session.get_outputs():
            self.binding.bind_output(output.name)

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def get(self) -> np.ndarray:
        return np.asarray(self.binding.copy_outputs_to_cpu()[0])

    def close(self) -> None:
        del self.session
