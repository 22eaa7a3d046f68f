"""Reach: how one user reaches a device. It lies in the user's own configuration, never beside a table that is shared."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import HwnasError, did_you_mean
from ..files import write_atomic
from .adb import Adb
from .ssh import Ssh
from .transport import Local, Transport

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEAD = "# How this user reaches devices, in one section for each; see `hwnas device add --help`.\n"


class Reach(BaseModel):
    """One section of devices.toml, named like the device: `ssh`, or `adb` and `benchmark`, or none of them for this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str | None = None  # interpreter that has the runtime, over there with ssh
    prefix: tuple[str, ...] = ()  # words before it, e.g. ["nice", "-n", "-5"]
    ssh: str | None = None  # user@host, or a name of ~/.ssh/config
    port: int | None = Field(default=None, ge=1, le=65535)
    identity: str | None = None  # file of the private key
    ssh_config: str | None = None  # another one than ~/.ssh/config
    adb: str | None = None  # serial, as `adb devices` shows it
    benchmark: str | None = None  # LiteRT's benchmark_model built for that phone, a file here
    patience_s: float = Field(default=180.0, ge=0)  # how long a device that was reached before is waited for

    @field_validator("ssh", "adb")
    @classmethod
    def _no_option(cls, address: str | None) -> str | None:
        # As an argument of ssh or adb, `-oProxyCommand=...` would be an option that runs a program.
        if address is not None and not re.fullmatch(r"[A-Za-z0-9_\[][^\s'\"`$;&|<>\\]*", address):
            raise ValueError("an address begins with a letter or a digit and has no spaces, quotes or shell characters")
        if address is not None and "@-" in address:
            raise ValueError("a host does not begin with -")
        return address

    @model_validator(mode="after")
    def _one_way(self) -> Reach:
        if self.ssh and self.adb:
            raise ValueError("ssh and adb are two ways: keep one")
        for field in ("port", "identity", "ssh_config"):
            if getattr(self, field) is not None and not self.ssh:
                raise ValueError(f"{field} belongs to ssh, which is not set")
        if bool(self.adb) != bool(self.benchmark):
            raise ValueError("adb and benchmark belong together: a phone has no Python, its device side is LiteRT's benchmark_model")
        if self.adb and (self.python or self.prefix):
            raise ValueError("python and prefix mean nothing over adb: the device side is benchmark_model")
        return self

    def __str__(self) -> str:
        if self.ssh:
            return f"ssh {self.ssh}"
        return f"adb {self.adb}" if self.adb else " ".join([*self.prefix, self.python or "this machine"])

    def transport(self) -> Transport:
        """Raises HwnasError for a file that is not there."""
        if self.ssh:
            return Ssh(
                self.ssh,
                self.python or "python3",
                port=self.port,
                identity=self.identity,
                config=self.ssh_config,
                prefix=self.prefix,
                patience_s=self.patience_s,
            )
        if self.adb and self.benchmark:
            return Adb(self.adb, Path(self.benchmark).expanduser(), self.patience_s)
        return Local(str(Path(self.python).expanduser()) if self.python else sys.executable, self.prefix)


def devices_toml() -> Path:
    """`$XDG_CONFIG_HOME/hwnas/devices.toml`, ~/.config by default."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "hwnas", "devices.toml")


def load_reaches() -> dict[str, Reach]:
    """Device -> how it is reached, of all that the user has written down. Raises HwnasError naming file, device, key and value."""
    path = devices_toml()
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HwnasError(f"{path}: cannot be read as TOML: {error}") from None
    return {name: parse_reach(fields, f"{path}: [{name}]") for name, fields in sections.items()}


def parse_reach(fields: object, where: str) -> Reach:
    """A Reach of these fields; `where` opens the message of the HwnasError otherwise."""
    if not isinstance(fields, dict):
        raise HwnasError(f"{where} = {fields!r}: expected a section with the device's name, such as [pi], with ssh = ... in it")
    try:
        return Reach(**fields)
    except ValidationError as invalid:
        wrong = invalid.errors()[0]
        if not wrong["loc"]:
            raise HwnasError(f"{where}: {wrong['msg'].removeprefix('Value error, ')}") from None
        key = str(wrong["loc"][0])
        if wrong["type"] == "extra_forbidden":
            raise did_you_mean(f"key in {where}", key, Reach.model_fields) from None
        raise HwnasError(f"{where}: {key} = {wrong.get('input')!r}: {wrong['msg'].removeprefix('Value error, ')}") from None


def save_reach(name: str, reach: Reach | None) -> Path:
    """Writes a device's section anew, or takes it away with None; the rest of the file stays as it is, comments too."""
    path = devices_toml()
    wanted = {k: r for k, r in load_reaches().items() if k != name} | ({name: reach} if reach else {})
    old = (
        path.read_text(encoding="utf-8")
        if path.exists()
        else "# How the devices of this user are reached. See `hwnas device add --help`.\n"
    )
    rest = re.sub(rf"(?m)^\[\"?{re.escape(name)}\"?\][^\n]*\n((?!\[)[^\n]*(\n|\Z))*", "", old).rstrip("\n") + "\n"
    new = rest + ("\n" + _section(name, reach) if reach else "")
    try:
        sections = tomllib.loads(new)
        kept = {k: parse_reach(fields, str(path)) for k, fields in sections.items()} == wanted
    except (tomllib.TOMLDecodeError, HwnasError):
        kept = False
    return write_atomic(path, new if kept else "\n".join(_section(k, r) for k, r in wanted.items()))


def _section(name: str, reach: Reach) -> str:
    return tomli_w.dumps({name: reach.model_dump(exclude_defaults=True, mode="json")})


def transport_of(device: str) -> Transport:
    """How a device is reached: as the user has written down, else it is this machine."""
    return load_reaches().get(device, Reach()).transport()
