"""Profiler: the interface a device plugin implements, and the one way to get at one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from .device import Device
from .errors import HwnasError, did_you_mean
from .plugins import PROFILERS, installed, load

API = 1  # 1: suffix, device_module, build, probe, check, extra, needs, dtypes, options, estimate; device side: API, facts, Session
PARTS = ("suffix", "device_module", "build", "probe", "check", "extra", "needs", "dtypes", "options", "estimate")


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
        and only where it applies
            def timed(self, loops) -> (wall_ns, cpu_ns or None)     # the device has a better clock
            def counters(self) -> {"energy_mj": ...}                # what it has used since it was switched on
            on_cpu = False                                          # CPU time of the calling thread means nothing here
            from_cache = True                                       # this file was loaded before, and faster now than a first time
        ALLOCATES = True                                # memory, in each inference: what is freed stays with the process, or luck is timed
    """

    api: int
    suffix: str  # of the files it makes, e.g. ".onnx"
    device_module: Path  # the device side's file
    extra: str = ""  # the exact command that installs what it needs
    needs: tuple[str, ...] = ()  # modules without which it does not run here; "a|b": one of the two
    dtypes: tuple[str, ...] = ("fp32",)
    options: dict[str, Any] = {}  # name -> default, of the options that a device.toml may set: a value is of its type, or one of a tuple
    estimate: bool = False  # times are computed, not measured; its device side's facts say {"estimate": True}

    def probe(self) -> str | None:
        """None if it can run here, else why not and the exact command that helps. Looks for `needs`, and imports nothing."""
        missing = [need for need in self.needs if not any(find_spec(module) for module in need.split("|"))]
        return f"No module named {missing[0].split('|')[0]!r}. Install it with: {self.extra}" if missing else None

    def check(self, device: Device) -> None:
        """Raises HwnasError for settings, each of which is allowed, that do not go together or mean nothing to this runtime."""

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        """Writes the file for a module that takes inputs of these NCHW shapes; returns out. Deterministic: same weights, same bytes."""
        ...


def is_estimate(fingerprint: dict[str, Any]) -> bool:
    """Whether what stands under this fingerprint was computed from a datasheet rather than measured."""
    return bool(fingerprint.get("runtime", {}).get("estimate", False))


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
    for part in PARTS:
        if not hasattr(profiler, part):
            raise HwnasError(f"profiler {name!r} ({origin}) has no {part!r}: subclass hwnas.profiler.Profiler")
    return profiler


def check_device(device: Device, profiler: Profiler) -> None:
    """Raises HwnasError if the device asks for a dtype, an option or a value that its profiler does not have."""
    if device.dtype not in profiler.dtypes:
        raise did_you_mean(f"dtype of device {device.name!r}", device.dtype, profiler.dtypes)
    for option, value in device.options.items():
        if option not in profiler.options:
            raise did_you_mean(f"option of device {device.name!r}", option, profiler.options)
        default = profiler.options[option]
        if isinstance(default, tuple):
            if value not in default:
                raise did_you_mean(f"value of option {option!r} of device {device.name!r}", value, default)
        elif default is not None and not _is_like(value, default):
            raise HwnasError(f"device {device.name!r}: options.{option} = {value!r}: expected {_kind(default)}, such as {default!r}")
    profiler.check(device)


def _is_like(value: Any, default: Any) -> bool:
    """Of the default's type; an integer is a number too, a boolean is neither."""
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
