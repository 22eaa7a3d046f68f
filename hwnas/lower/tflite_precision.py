"""quantize_tflite and half_tflite: an fp32 TFLite file -> int8 (static) or fp16 weights, by Google's ai-edge-quantizer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import numpy as np

from .calibration import LEAST_RANGE, Calibration

LOWEST = np.float32(np.finfo(np.float32).min)
SIGNATURE = "serving_default"


def quantize_tflite(file: bytes, calibration: Calibration, int8_io: bool = False) -> bytes:
    """Static int8: weights by output channel, activations by tensor.

    Ranges are the least and the greatest value over the calibration (the quantiser's own default is a moving average that hardly moves
    from the first sample). int8_io: inputs and outputs are int8 too, as microcontrollers and some accelerators want them; else float32,
    with a QUANTIZE at the start and a DEQUANTIZE at the end.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import AlgorithmName, RecipeManager

    recipe = RecipeManager()
    recipe.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for boundary in () if int8_io else (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipe.add_quantization_config(".*", boundary, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return _applied(file, recipe, tflite_ranges(file, calibration))


def half_tflite(file: bytes) -> bytes:
    """fp16 weights, inputs and outputs float32; arithmetic in fp16 where the CPU has it (ARM), else in fp32 after the weights are read."""
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import AlgorithmName, RecipeManager

    recipe = RecipeManager()
    recipe.add_weight_only_config(".*", TFLOperationName.ALL_SUPPORTED, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    return _applied(file, recipe, None)


def tflite_ranges(file: bytes, calibration: Calibration) -> dict[str, dict[str, np.ndarray]]:
    """Tensor -> {"min", "max"} over the calibration, each with the tensor's rank, of every tensor that is no constant."""
    ranges: dict[str, dict[str, np.ndarray]] = {}
    for values in all_tensors(file, calibration):
        for name, value in values.items():
            value = value[value > LOWEST].reshape(-1, *[1] * (value.ndim - 1))  # a maximum's padding is no value
            low, high = value.min(keepdims=True), value.max(keepdims=True)
            known = ranges.setdefault(name, {"min": low, "max": high})
            known["min"], known["max"] = np.minimum(known["min"], low), np.maximum(known["max"], high)
    for known in ranges.values():
        known["max"] = np.maximum(known["max"], known["min"] + np.float32(LEAST_RANGE))
    return ranges


def all_tensors(file: bytes, samples: Calibration) -> Iterator[dict[str, np.ndarray]]:
    """For each sample: name -> float32 values of every tensor that is no constant, in the order of the network; int8 is converted."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = schema.Model.GetRootAs(file)
    graph = model.Subgraphs(0)
    written = [index for i in range(graph.OperatorsLength()) for index in graph.Operators(i).OutputsAsNumpy()]
    interpreter = Interpreter(
        model_content=file,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    inputs = [interpreter.get_input_details()[at]["index"] for at in _by_signature(interpreter)]
    for xs in samples:
        for index, x in zip(inputs, xs):
            interpreter.set_tensor(index, quantized(nhwc(x), details[index]))
        interpreter.invoke()
        yield {details[i]["name"]: dequantized(interpreter.get_tensor(i), details[i]) for i in (*inputs, *written)}


def _by_signature(interpreter: Any) -> list[int]:
    """Places of the inputs in the interpreter's list, in the order of their names in the signature."""
    signature = interpreter.get_signature_runner(SIGNATURE).get_input_details()
    place = {details["name"]: at for at, details in enumerate(interpreter.get_input_details())}
    return [place[signature[name]["name"]] for name in sorted(signature)]


def _applied(file: bytes, recipe: Any, ranges: dict[str, Any] | None) -> bytes:
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(file, recipe.get_quantization_recipe())
    # It checks the ranges with an interpreter that warns of its memory, and draws progress bars; in a network with fresh weights
    # activations fade, until a bias is too large a multiple of their scale: that is a matter for the accuracy of a file, not of its time.
    with warnings.catch_warnings(), redirect_stderr(StringIO()), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def quantized(x: np.ndarray, details: Mapping[str, Any]) -> np.ndarray:
    """x as the tensor takes it: itself, or whole numbers of its scale where it is int8."""
    if details["dtype"] == np.float32:
        return x
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def dequantized(y: np.ndarray, details: Mapping[str, Any]) -> np.ndarray:
    """The tensor's values as float32."""
    scale, zero = details["quantization"]
    return y if y.dtype == np.float32 else (y.astype(np.float32) - zero) * np.float32(scale)


def nhwc(x: np.ndarray) -> np.ndarray:
    """An image (n, c, h, w) as (n, h, w, c); anything else as it is."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x
