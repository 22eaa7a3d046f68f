"""Device side: ONNX Runtime, on the CPU or on other execution providers."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import numpy as np
import onnxruntime as ort

API = 1
CPU = "CPUExecutionProvider"


def facts(options: dict[str, Any]) -> dict[str, Any]:
    _providers(options)  # one that is not there is refused at the start, and not file by file
    return {"name": "onnxruntime", "version": ort.__version__}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        wanted = _providers(options)
        settings = _provider_options(options)
        self.on_cpu = wanted == [CPU]
        with tempfile.TemporaryDirectory() as folder:
            must_prove = not self.on_cpu and not options.get("fallback", False)
            profile = os.path.join(folder, "profile") if must_prove and not hasattr(ort.InferenceSession, ASSIGNED) else None
            providers = [(name, settings.get(name, {})) for name in wanted]
            self.session = ort.InferenceSession(path, _settings(options, must_prove, profile), providers=providers)
            self.inputs = self.session.get_inputs()
            self.shapes = [tuple(i.shape) for i in self.inputs]
            if must_prove:
                _refuse_fallback(wanted, self._nodes_by_provider() if profile is None else self._nodes_as_profiled())
            if profile is not None:  # a session that profiles is slower: the one to be timed does not
                self.session = ort.InferenceSession(path, _settings(options), providers=providers)

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

    def _nodes_by_provider(self) -> dict[str, list[str]]:
        """Provider -> its nodes, as the session says (ONNX Runtime 1.24 and later)."""
        found: dict[str, list[str]] = {}
        for part in self.session.get_provider_graph_assignment_info():
            found.setdefault(part.ep_name, []).extend(node.name or node.op_type for node in part.get_nodes())
        return found

    def _nodes_as_profiled(self) -> dict[str, list[str]]:
        """Provider -> its nodes, as a profile of one run has them: older versions do not say it otherwise."""
        self.put([np.zeros(shape, np.float32) for shape in self.shapes])
        self.run()
        found: dict[str, list[str]] = {}
        with open(self.session.end_profiling(), encoding="utf-8") as file:
            for event in json.load(file):
                provider = event.get("args", {}).get("provider")
                if provider:
                    found.setdefault(provider, []).append(event["name"])
        return found


ASSIGNED = "get_provider_graph_assignment_info"


def _settings(options: dict[str, Any], assignment: bool = False, profile: str | None = None) -> ort.SessionOptions:
    settings = ort.SessionOptions()
    # ALL, the default: a lower level drops the NCHWc layout, which is five times slower on x86.
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.intra_op_num_threads = options["threads"]
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    if profile is not None:
        settings.enable_profiling, settings.profile_file_prefix = True, profile
    elif assignment:
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return settings


def _providers(options: dict[str, Any]) -> list[str]:
    """Full names of the providers that device.toml names; "CUDA" stands for "CUDAExecutionProvider".

    ONNX Runtime itself goes on with the CPU when it has not been built with one of them.
    """
    available = {_short(name).lower(): name for name in ort.get_available_providers()}
    found = []
    for name in options.get("providers", ["CPU"]):
        if _short(name).lower() not in available:
            known = ", ".join(_short(p) for p in available.values())
            raise ValueError(f"providers: this onnxruntime {ort.__version__} has no {name!r}, it has {known}")
        found.append(available[_short(name).lower()])
    return found


def _provider_options(options: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Provider -> its options, whose values ONNX Runtime takes as texts."""
    by_name = {_short(name).lower(): name for name in _providers(options)}
    found = {}
    for name, values in options.get("provider_options", {}).items():
        if _short(name).lower() not in by_name:
            raise ValueError(f"provider_options: {name!r} is not among providers: {', '.join(map(_short, by_name.values()))}")
        found[by_name[_short(name).lower()]] = {key: str(value) for key, value in values.items()}
    return found


def _refuse_fallback(wanted: list[str], nodes: dict[str, list[str]]) -> None:
    on_cpu = nodes.get(CPU, [])
    if on_cpu and CPU != wanted[0]:
        some = ", ".join(on_cpu[:3]) + (", ..." if len(on_cpu) > 3 else "")
        total = sum(map(len, nodes.values()))
        allow = "set fallback = true under [options] to allow it"
        raise ValueError(f"{len(on_cpu)} of {total} nodes ({some}) fell back to the CPU from {_short(wanted[0])}: {allow}")


def _short(provider: str) -> str:
    return provider[: -len("ExecutionProvider")] if provider.endswith("ExecutionProvider") else provider
