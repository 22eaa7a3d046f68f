"""audit: what a model file consists of, and which of it a runtime does not run as it should."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import HwnasError
from .external import refuse_external

_MOVES = ("Transpose", "TRANSPOSE")
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "QUANTIZE", "DEQUANTIZE", "Cast", "CAST")
_SHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "ReorderInput", "ReorderOutput")  # any type will do
_SLOW = {"HARD_SWISH": "XNNPACK has no int8 kernel for it: 197 us against 6 us in fp32; write it as x * hardsigmoid(x)"}


@dataclass(frozen=True)
class Finding:
    """One thing to look at: kind is "transpose", "conversion", "fallback", "slow" or "layout"."""

    kind: str
    operator: str
    count: int
    what: str


@dataclass(frozen=True)
class Audit:
    """operators: of the file; runs: as the runtime runs it, after its own fusions, by who runs them."""

    format: str
    layout: str
    operators: dict[str, int]
    runs: dict[str, dict[str, int]]  # provider or delegate -> operator -> how often
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit(file: Path, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> Audit:
    """Looks into an .onnx or .tflite file and has its runtime here load (and, for ONNX, optimise) it.

    providers: ONNX Runtime's, in order of preference. Raises HwnasError for other files and for those that do not load.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise HwnasError(f"{file}: cannot be read: {error.strerror}") from None
    if file.suffix not in (".onnx", ".tflite"):
        raise HwnasError(f"{file}: expected an .onnx or a .tflite file")
    refuse_external(file.name, data)
    try:
        return _onnx(data, providers) if file.suffix == ".onnx" else _tflite(data)
    except HwnasError:
        raise
    except Exception as error:  # what a runtime raises for a model it cannot load is its own affair
        said = re.sub(r".*\.cc:\d+ .*?&\) ", "", (str(error) or repr(error)).splitlines()[0])  # without where in ONNX Runtime's source
        raise HwnasError(f"{file}: its runtime does not load it: {said[:200]}") from None


def _onnx(data: bytes, providers: tuple[str, ...]) -> Audit:
    import onnxruntime

    unknown = set(providers) - set(onnxruntime.get_available_providers())
    if unknown:
        known = ", ".join(onnxruntime.get_available_providers())
        raise HwnasError(f"providers: this onnxruntime has no {', '.join(sorted(unknown))}; it has {known}")
    model = onnx.load_from_string(data)
    operators = Counter(node.op_type for node in model.graph.node)
    runs = _profiled(data, providers)
    findings = []
    first, *others = providers
    for provider, ops in runs.items():
        for op, count in ops.items():
            if provider != first:
                findings.append(Finding("fallback", op, count, f"runs on {provider}, not on {first}"))
            if op in _MOVES:
                findings.append(Finding("transpose", op, count, "moves data only"))
            if op in _CONVERSIONS:
                findings.append(Finding("conversion", op, count, _left_over(model, op, count, ops)))
            if op in ("ReorderOutput", "ReorderInput"):
                findings.append(Finding("layout", op, count, "to or from ONNX Runtime's blocked NCHWc layout"))
    floats = [op for op in ("Conv", "Gemm", "MatMul", "FusedConv") if operators["QuantizeLinear"] and runs.get(first, {}).get(op)]
    findings += [Finding("slow", op, runs[first][op], "runs in float in a quantised file") for op in floats]
    return Audit("ONNX", "NCHW", dict(operators.most_common()), runs, tuple(findings))


def _left_over(model: onnx.ModelProto, op: str, count: int, runs: Mapping[str, int]) -> str:
    boundary = {"QuantizeLinear": len(model.graph.input), "DequantizeLinear": len(model.graph.output)}
    if op not in boundary:
        return "converts between types"
    said = f"left after fusion; {boundary[op]} of these at the boundary of a file with float inputs and outputs"
    floats = [name for name in runs if not name.startswith("Q") and name not in (*_MOVES, *_CONVERSIONS, *_SHAPES)]
    return said + (f", the others around what runs in float: {', '.join(floats)}" if count > boundary[op] and floats else "")


def _profiled(data: bytes, providers: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Provider -> operator -> count, of one run with all optimisations: what really runs, and where."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        options.log_severity_level = 4  # what goes wrong is raised, too
        session = onnxruntime.InferenceSession(data, options, providers=list(providers))
        feeds = {}
        for wanted in session.get_inputs():
            if not all(isinstance(size, int) for size in wanted.shape):
                raise HwnasError(f"input {wanted.name!r} has the shape {wanted.shape}: fix its sizes first")
            kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}
            feeds[wanted.name] = np.zeros(wanted.shape, kind.get(wanted.type, np.float32))
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    runs: dict[str, Counter[str]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            runs.setdefault(arguments["provider"], Counter())[arguments["op_name"]] += 1
    return {provider: dict(counts.most_common()) for provider, counts in runs.items()}


def _tflite(data: bytes) -> Audit:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    plain.allocate_tensors()
    nodes = plain._get_ops_details()
    details = {d["index"]: d for d in plain.get_tensor_details()}
    operators = Counter(node["op_name"] for node in nodes)
    taken = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.AUTO)
    taken.allocate_tensors()
    after = taken._get_ops_details()
    left = _left_to_builtin(nodes, after)
    on_xnnpack = operators - left
    findings = [Finding("fallback", op, count, "XNNPACK does not take it: a built-in kernel runs") for op, count in left.items()]
    parts = sum(node["op_name"] == "DELEGATE" for node in after)
    if parts > 1:
        findings.append(
            Finding("fallback", "DELEGATE", parts, "the network is cut into so many parts between XNNPACK and built-in kernels")
        )
    for op, count in operators.items():
        if op in _MOVES:
            findings.append(Finding("transpose", op, count, "moves data only"))
        int8 = sum(node["op_name"] == op and details[node["outputs"][0]]["dtype"] == np.int8 for node in nodes)
        if op in _SLOW and int8:
            findings.append(Finding("slow", op, int8, _SLOW[op]))
        if op in _CONVERSIONS:
            weights = sum(node["op_name"] == op and _is_weight(node, nodes, plain) for node in nodes)
            inner = count - weights
            if inner:
                findings.append(Finding("conversion", op, inner, _ends(plain)))
            if weights:
                findings.append(Finding("conversion", op, weights, "of fp16 weights, done once when the file is loaded"))
    runs = {name: dict(ops.most_common()) for name, ops in (("XNNPACK", on_xnnpack), ("built-in", left)) if ops}
    return Audit("TFLite", "NHWC", dict(operators.most_common()), runs, tuple(findings))


def _left_to_builtin(nodes: list[Any], after: list[Any]) -> Counter[str]:
    """Operators that no delegate stands for: a delegate's are those on the way back from its outputs to its inputs."""
    writer = {int(index): at for at, node in enumerate(nodes) for index in node["outputs"]}
    taken: set[int] = set()
    for delegate in after[len(nodes) :]:
        given, todo = set(map(int, delegate["inputs"])), [int(i) for i in delegate["outputs"]]
        while todo:
            at = writer.get(todo.pop())
            if at is not None and at not in taken:
                taken.add(at)
                todo += [int(i) for i in nodes[at]["inputs"] if int(i) not in given]
    return Counter(node["op_name"] for at, node in enumerate(nodes) if at not in taken)


def _is_weight(node: Any, nodes: list[Any], interpreter: Any) -> bool:
    written = {int(i) for other in nodes for i in other["outputs"]} | {d["index"] for d in interpreter.get_input_details()}
    return int(node["inputs"][0]) not in written


def _ends(interpreter: Any) -> str:
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    floats = sum(d["dtype"] == np.float32 for d in ends)
    return f"the file has {floats} float inputs and outputs, each of which needs one" if floats else "within the network"
