"""Profiler: the interface a device plugin implements, and the one way to get at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import nn

from .device import Device
from .errors import HwnasError, did_you_mean
from .plugins import PROFILERS, installed, load

API = 1  # 1: suffix, device_module, build, probe, extra, dtypes, options; device side: API, facts, Session


class Profiler(Protocol):
    """The host side of a plugin: makes the file that the device side runs.

    A plugin subclasses this, states `api = 1`, suffix, device_module and build, and registers under the entry point group
    "hwnas.profilers". Its device side is one file that imports the standard library, numpy and the runtime only:

        API = 1
        def facts(options) -> dict                      # name and version of the runtime
        class Session:
            shapes: list[tuple[int, ...]]               # of the inputs, NCHW
            def __init__(self, path, options)           # options: the runtime's, and threads, pin, dtype, batch
            def put(self, xs)                           # xs: NCHW float32 arrays; layout and quantisation are handled here
            def run(self)                               # one inference, finished when it returns
            def get(self) -> array                      # NCHW or (n, classes) float32
            def close(self)
            def timed(self, loops) -> (wall_ns, cpu_ns or None)     # only if the device has a better clock
    """

    api: int
    suffix: str  # of the files it makes, e.g. ".onnx"
    device_module: Path  # the device side's file
    extra: str = ""  # the exact command that installs what it needs
    dtypes: tuple[str, ...] = ("fp32",)
    options: dict[str, Any] = {}  # names and defaults of the options that a device.toml may set

    def probe(self) -> str | None:
        """None if it can run here, else why not and the exact command that helps. Imports the runtime in here only."""
        return None

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        """Writes the file for a module that takes inputs of these NCHW shapes; returns out. Deterministic: same weights, same bytes."""
        ...


def load_profiler(name: str) -> Profiler:
    """The installed profiler of that name.

    Raises HwnasError for an unknown name, a plugin that cannot be imported, one that speaks another api or lacks a part.
    """
    found = load(PROFILERS, name)
    profiler = found() if isinstance(found, type) else found
    origin = installed(PROFILERS)[name].value
    api = getattr(profiler, "api", None)
    if api != API:
        raise HwnasError(f"profiler {name!r} ({origin}) speaks api {api}, this hwnas speaks {API}: install a version of it that fits")
    for part in ("suffix", "device_module", "build", "probe", "extra", "dtypes", "options"):
        if not hasattr(profiler, part):
            raise HwnasError(f"profiler {name!r} ({origin}) has no {part!r}: subclass hwnas.profiler.Profiler")
    return profiler


def check_device(device: Device, profiler: Profiler) -> None:
    """Raises HwnasError if the device asks for a dtype or an option that its profiler does not have."""
    if device.dtype not in profiler.dtypes:
        raise did_you_mean(f"dtype of device {device.name!r}", device.dtype, profiler.dtypes)
    for option in device.options:
        if option not in profiler.options:
            raise did_you_mean(f"option of device {device.name!r}", option, profiler.options)
