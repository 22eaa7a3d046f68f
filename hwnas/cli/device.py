"""`hwnas device`: boards, phones and other interpreters, made known and looked at."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

import typer

from ..device import BUILT_IN, Device, find_device
from ..errors import HwnasError, did_you_mean
from ..measure.probe import Probe, probe
from ..profiler import check_device, load_profiler
from ..transports.install import install, pip_lines
from ..transports.reach import devices_toml, load_reaches, parse_reach, save_reach
from .console import JSON, LUT, console, out, show_json

device = typer.Typer(
    help="Make boards, phones and other Python interpreters known as devices, and look at them.",
    no_args_is_help=True,
    add_completion=False,
)
SECONDS = typer.Option(
    5.0, "--seconds", min=1.0, max=3600.0, help="How long to time the sentinel block; throttling can take minutes to show."
)


@device.command()
def add(
    name: str = typer.Argument(help="Your name for it; also that of its folder under --lut."),
    runtime: str = typer.Option("", "--runtime", help="Which profiler: onnx, tflite, cpu, ... (`hwnas devices` lists them)."),
    ssh: str = typer.Option("", "--ssh", help="user@host, or a name of ~/.ssh/config."),
    port: int = typer.Option(0, "--port", help="ssh: the port, if it is not 22."),
    identity: str = typer.Option("", "--identity", help="ssh: file of the private key."),
    ssh_config: str = typer.Option("", "--ssh-config", help="ssh: another file than ~/.ssh/config."),
    python: str = typer.Option(
        "", "--python", help="The interpreter that has the runtime; with --ssh the one there (~/ is the home there)."
    ),
    adb: str = typer.Option("", "--adb", help="A phone's serial, as `adb devices` shows it."),
    benchmark: str = typer.Option("", "--benchmark", help="adb: LiteRT's benchmark_model built for the phone, a file here."),
    install_it: bool = typer.Option(False, "--install", help="Make a virtualenv there and install numpy and the runtime in it with pip."),
    threads: int = typer.Option(1, "--threads"),
    dtype: str = typer.Option("fp32", "--dtype"),
    batch: int = typer.Option(1, "--batch"),
    pin: str = typer.Option("auto", "--pin", help="Core to stay on: a number, auto (the fastest) or off."),
    option: list[str] = typer.Option([], "--option", help="Of the runtime, NAME=VALUE, e.g. xnnpack=false; may be repeated."),
    lut: Path = LUT,
    seconds: float = SECONDS,
    json: bool = JSON,
) -> None:
    """Makes a device known: writes LUT/NAME/device.toml and how you reach it, sends the device side, tries it and says what it found.

    A board:            hwnas device add pi --ssh pi@raspberrypi.local --runtime onnx --install

    Another virtualenv: hwnas device add old-litert --python ~/old/bin/python --runtime tflite

    An Android phone:   hwnas device add phone --adb SERIAL --benchmark ./android_aarch64_benchmark_model
    """
    given = {
        "ssh": ssh,
        "port": port,
        "identity": _here(identity),
        "ssh_config": _here(ssh_config),
        "adb": adb,
        "benchmark": _here(benchmark),
    }
    given["python"] = python if ssh or "/" not in python else _here(python)
    reach = parse_reach({k: v for k, v in given.items() if v}, "device add")
    if not runtime and not adb:
        raise HwnasError("--runtime is missing: which profiler measures there, e.g. onnx or tflite (`hwnas devices` lists them)")
    fields = {"name": name, "runtime": runtime or "tflite", "threads": threads, "dtype": dtype, "batch": batch}
    fields |= {"pin": int(pin) if pin.isdigit() else pin, "options": dict(_option(word) for word in option)}
    made = Device.parse(fields, "device add")
    profiler = load_profiler(made.runtime)
    check_device(made, profiler)
    if adb and profiler.suffix != ".tflite":
        raise HwnasError(f"--runtime {runtime}: over adb the device side is benchmark_model, which runs .tflite files: --runtime tflite")
    if name in BUILT_IN and (ssh or adb):
        raise HwnasError(f"device {name!r} is a built-in one of this machine: choose another name")
    folder = lut / name
    if (folder / "table.jsonl").exists() and find_device(name, lut) != made:
        raise HwnasError(f"{folder}: holds a table measured under other settings: choose another name, or move the folder away")
    if install_it:
        with console.status(f"installing {made.runtime} for {name}: {reach}"):
            reach = install(name, reach, profiler.extra)
    try:
        with console.status(f"trying {name} for {seconds:g} s: {reach}"):
            found = probe(made, seconds, reach.transport())
    except HwnasError as error:
        if "ModuleNotFoundError" in str(error) and not install_it and not adb:
            lines = " && ".join(pip_lines(name, reach, profiler.extra))
            there = f"on it: {lines}, then add --python '~/.local/share/hwnas/venv-{name}/bin/python'"
            raise HwnasError(f"{error} Nothing was written. Add --install, or run {there}") from None
        raise
    made.save(folder / "device.toml")
    path = save_reach(name, reach)
    if json:
        show_json({"device": name, "reached_by": str(reach), **found.to_dict()})
        return
    _show(name, str(reach), found)
    out.print(f"wrote {folder / 'device.toml'} (facts, to be shared) and {path} (how you reach it)", highlight=False, soft_wrap=True)
    out.print(f"next: hwnas profile {name} --space mobilenet", highlight=False)


@device.command("probe")
def probe_command(
    name: str = typer.Argument(help="A device of `hwnas devices`."), lut: Path = LUT, seconds: float = SECONDS, json: bool = JSON
) -> None:
    """Tries a device: what it is, and whether it keeps its speed (a minute or more shows throttling)."""
    chosen, reach = find_device(name, lut), load_reaches().get(name)
    with console.status(f"trying {name} for {seconds:g} s"):
        found = probe(chosen, seconds)
    if json:
        show_json({"device": name, "reached_by": str(reach or "this machine"), **found.to_dict()})
    else:
        _show(name, str(reach or "this machine"), found)


@device.command()
def remove(name: str = typer.Argument(help="A device of your devices.toml.")) -> None:
    """Forgets how a device is reached. Its device.toml and its table stay."""
    known = load_reaches()
    if name not in known:
        raise did_you_mean(f"device in {devices_toml()}", name, known)
    out.print(f"{name} ({known[name]}) is not in {save_reach(name, None)} any more", highlight=False, soft_wrap=True)


def _show(name: str, reached_by: str, found: Probe) -> None:
    host = found.host
    named = (("model", "{}"), ("cpu", "{}"), ("machine", "{}"), ("cores", "{} cores"), ("os", "{}"), ("python", "Python {}"))
    out.print(f"[bold]{name}[/bold]  {reached_by}", highlight=False)
    out.print("  " + ", ".join(form.format(host[key]) for key, form in named if key in host), highlight=False, soft_wrap=True)
    turbo = {None: "turbo unknown", True: "turbo on", False: "turbo off"}[host.get("turbo")]
    heat = found.before.get("temperature_c")
    state = [f"governor {host.get('governor', 'unknown')}", turbo, "temperature " + (f"{heat:.0f} C" if heat is not None else "unknown")]
    out.print("  " + ", ".join(state) + f", load {found.before.get('load_average', 'unknown')}", highlight=False)
    out.print(f"  {found.runtime.get('name')} {found.runtime.get('version')}", highlight=False)
    changed = f"slowed by {found.slowdown:.1%}" if found.slowdown >= 0 else f"got faster by {-found.slowdown:.1%}"
    out.print(f"  sentinel block {1000 * found.latency_ms:.1f} us; {changed} over {found.seconds:.1f} s", highlight=False)
    for warning in found.warnings:
        out.print(f"  [yellow]note:[/yellow] {warning}", highlight=False, soft_wrap=True)


def _here(path: str) -> str:
    """A path of this machine that means the same from any folder; links stay, a virtualenv's python is one."""
    return str(Path(path).expanduser().absolute()) if path else ""


def _option(word: str) -> tuple[str, Any]:
    """`xnnpack=false` as (name, value): a JSON value where it is one, else the text."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise HwnasError(f"--option {word!r}: expected NAME=VALUE, e.g. xnnpack=false")
    try:
        return name, json_module.loads(value)
    except ValueError:
        return name, value
