"""Device side: TensorFlow Lite on the CPU. Tensors of rank four are NHWC in the file and NCHW here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

try:
    from ai_edge_litert import interpreter as tflite

    RUNTIME = "ai-edge-litert"
except ImportError as missing:
    try:
        from tflite_runtime import interpreter as tflite

        RUNTIME = "tflite-runtime"
    except ImportError:
        raise missing from None

API = 1


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": RUNTIME, "version": version(RUNTIME)}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        resolver = tflite.OpResolverType.AUTO if options.get("xnnpack", True) else tflite.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        library = options.get("delegate")
        delegates = [tflite.load_delegate(library, options.get("delegate_options", {}))] if library else None
        self.on_cpu = not library
        self.interpreter = tflite.Interpreter(
            path, num_threads=options["threads"], experimental_op_resolver_type=resolver, experimental_delegates=delegates
        )
        if library and not options.get("fallback", False) and not _delegated(self.interpreter):
            raise ValueError(f"delegate {library} took no node, all run on the CPU: set fallback = true under [options] to allow it")
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()
        self.output = self.interpreter.get_output_details()[0]
        self.shapes = [tuple(int(n) for n in _nchw(i["shape"])) for i in self.inputs]

    def put(self, xs: list[np.ndarray]) -> None:
        for details, x in zip(self.inputs, xs):
            nhwc = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
            self.interpreter.set_tensor(details["index"], np.ascontiguousarray(_quantized(nhwc, details)))

    def run(self) -> None:
        self.interpreter.invoke()

    def get(self) -> np.ndarray:
        y: np.ndarray = _dequantized(self.interpreter.get_tensor(self.output["index"]), self.output)
        return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y

    def close(self) -> None:
        del self.interpreter


def _nchw(shape: Any) -> Any:
    return [shape[0], shape[3], shape[1], shape[2]] if len(shape) == 4 else shape


def _delegated(interpreter: Any) -> bool:
    """Whether a delegate took any node; before tensors are allocated, which is when XNNPACK takes the rest."""
    return any(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())


def _quantized(x: np.ndarray, details: Any) -> np.ndarray:
    """x as the tensor takes it: itself, or whole numbers where the file has an int8 boundary."""
    if details["dtype"] == np.float32:
        return x
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def _dequantized(y: np.ndarray, details: Any) -> np.ndarray:
    if y.dtype == np.float32:
        return y
    scale, zero = details["quantization"]
    return (y.astype(np.float32) - zero) * np.float32(scale)
