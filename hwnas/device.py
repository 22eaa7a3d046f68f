"""Device: what is to be known about a target to measure on it; facts that can be shared, no addresses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import HwnasError, did_you_mean
from .files import write_atomic
from .shipped import device_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Device(BaseModel):
    """One target: a runtime and how it is used. Two devices that differ in any of these fields have two tables.

    Its file is `device.toml`, with these fields as keys. How the device is reached is the user's own configuration.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")  # also the name of its folder under lut/
    runtime: str  # name of the profiler
    threads: int = Field(default=1, ge=1)
    pin: int | Literal["auto", "off"] = "auto"  # core to stay on; "auto": the fastest, if there is one thread only
    dtype: str = "fp32"
    batch: int = Field(default=1, ge=1)
    options: dict[str, Any] = {}  # those of the runtime, e.g. {"xnnpack": false}

    @staticmethod
    def load(path: Path) -> Device:
        """The device in a device.toml. Raises HwnasError naming the file, the key and what would do."""
        try:
            fields = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise HwnasError(f"{path}: cannot be read as TOML: {error}") from None
        return Device.parse(fields, str(path))

    @staticmethod
    def parse(fields: dict[str, Any], where: str) -> Device:
        """The device of these fields. Raises HwnasError that opens with `where` and names the key and what would do."""
        try:
            return Device(**fields)
        except ValidationError as invalid:
            wrong = invalid.errors()[0]
            key = str(wrong["loc"][0])
            if wrong["type"] == "extra_forbidden":
                raise did_you_mean(f"key in {where}", key, Device.model_fields) from None
            said = "letters, digits, '.', '_' and '-' make a name, and no '.', '_' or '-' its beginning" if key == "name" else wrong["msg"]
            raise HwnasError(f"{where}: {key} = {wrong.get('input')!r}: {said}") from None

    @staticmethod
    def named(name: str, settings: dict[str, Any], where: str) -> Device:
        """The device of that name with a table's settings, of which it takes those that it knows. Raises HwnasError as `parse` does."""
        return Device.parse({**{k: v for k, v in settings.items() if k in Device.model_fields}, "name": name}, where)

    def save(self, path: Path) -> None:
        """Writes device.toml; fields at their default stand in it too, so that a reader sees all of them."""
        write_atomic(path, tomli_w.dumps(self.model_dump()))

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that a latency depends on: all but the name."""
        return self.model_dump(exclude={"name"})

    @property
    def worker_options(self) -> dict[str, Any]:
        """What the profiler's device side receives: the runtime's options and threads, pin, dtype, batch."""
        pin = "off" if self.pin == "auto" and self.threads > 1 else self.pin
        return {**self.options, "threads": self.threads, "pin": pin, "dtype": self.dtype, "batch": self.batch}


BUILT_IN = {
    d.name: d
    for d in (
        Device(name="torch-cpu", runtime="cpu"),
        Device(name="onnx-cpu", runtime="onnx"),
        Device(name="onnx-cpu-int8", runtime="onnx", dtype="int8"),
        Device(name="tflite-cpu", runtime="tflite"),
        Device(name="tflite-cpu-int8", runtime="tflite", dtype="int8"),
        Device(name="openvino-cpu", runtime="openvino"),
        Device(name="openvino-cpu-int8", runtime="openvino", dtype="int8"),
        Device(name="ncnn-cpu", runtime="ncnn"),
        Device(name="mnn-cpu", runtime="mnn"),
        Device(name="cuda", runtime="gpu", pin="off"),
    )
}


def find_device(name: str, lut_dir: Path) -> Device:
    """The device of that name: from `lut_dir/<name>/device.toml`, else a built-in one, else one whose table comes with hwnas.

    Raises HwnasError for a name that is neither, or for a file whose name field is not its folder's.
    """
    files = {n: folder / "device.toml" for n, folder in device_names(lut_dir).items()}
    if name in files and (name not in BUILT_IN or files[name].parent.parent == lut_dir):
        device = Device.load(files[name])
        if device.name != name:
            raise HwnasError(f"{files[name]}: name = {device.name!r} but its folder is {name!r}: make them equal")
        return device
    if name not in BUILT_IN:
        known = sorted({*BUILT_IN, *files})
        raise did_you_mean(
            "device", name, known, f"A device of your own: `hwnas device add NAME --help`, or write {lut_dir / 'NAME' / 'device.toml'}."
        )
    return BUILT_IN[name]
