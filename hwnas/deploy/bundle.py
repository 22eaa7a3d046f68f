"""Bundle: the folder that export writes for a device, and everything that is checked before a received one is believed."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..cost import METRICS
from ..cost.bound import CONFIDENCE
from ..device import Device
from ..errors import HwnasError
from ..files import write_atomic
from ..lower import Program
from .accuracy import outputs_here, outputs_of
from .c_header import MAX_BYTES, c_header
from .card import model_card
from .certificate import FORMAT, Demand, Verdict
from .external import refuse_external
from .module_source import module_source
from .sample import FILE, sample_inputs, write_sample
from .timing import RULES

CERTIFICATE = "certificate.json"
MAX_CERTIFICATE_BYTES = 16_000_000
MAX_FILE_BYTES = 4_000_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write_bundle(
    folder: Path, program: Program, device: Device, files: Mapping[str, Path], others: Sequence[Path], certificate: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Writes what stands beside the model files, and returns certificate.json's "files": name -> sha256, bytes.

    model.py with model.safetensors is the network in plain torch; model.h the TFLite file as a C array; sample.safetensors a few inputs
    and what each file made of them; README.md the model card. architecture.json lies there already. others: files in other number
    formats, as `write_variants` wrote them.
    """
    x = sample_inputs(program.shapes[program.inputs[0]])
    outputs = {path.name: outputs_of(path, device, x) for path in files.values()}
    outputs |= {path.name: outputs_here(path, device.batch, x) for path in others}
    title = f"The network that hwnas found for the device {device.name}."
    written = [*files.values(), *others, folder / "architecture.json"]
    written.append(write_atomic(folder / "model.py", module_source(program, title)))
    written.append(write_atomic(folder / FILE, write_sample(x, outputs)))
    for path in (files[".tflite"], *(p for p in others if p.name == "model-int8-io.tflite")):
        header = path.with_suffix(".h")
        header.unlink(missing_ok=True)
        if len(tflite := path.read_bytes()) <= MAX_BYTES:
            comment = f"{title} Written from {path.name}."
            written.append(write_atomic(header, c_header(tflite, path.stem.replace("-", "_"), comment)))
    written.append(write_atomic(folder / "README.md", model_card(certificate, [*(p.name for p in written), "README.md", CERTIFICATE])))
    return {p.name: {"sha256": sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size} for p in written}


class _FileFacts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0, le=MAX_FILE_BYTES)


class _Limit(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    budget: float = Field(gt=0, allow_inf_nan=False)
    value: float = Field(ge=0, allow_inf_nan=False)
    confidence: float = Field(default=CONFIDENCE, ge=0.5, lt=1)
    soft: bool = False

    @property
    def demand(self) -> Demand:
        return Demand(self.budget, self.confidence, self.soft)


class _Rules(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str = "default"


class _Certificate(BaseModel):
    """What is read of a certificate.json; the rest of it is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    format: int
    verdict: Verdict
    device: str
    dtype: str = "fp32"
    certified_file: str
    files: dict[str, _FileFacts]
    limits: dict[str, _Limit] = Field(min_length=1)
    rules: _Rules = _Rules()
    fingerprint: dict[str, Any] = {}


@dataclass(frozen=True)
class Bundle:
    """A received bundle whose files are those of its certificate, each of the stated size and hash, as they were when it was opened."""

    folder: Path
    certificate: _Certificate
    data: dict[str, bytes]  # name -> what was read and checked; nothing is read from the folder again

    @staticmethod
    def open(folder: Path) -> Bundle:
        """Raises HwnasError, in one line, for what is no bundle, or for one that was changed or reaches out of its folder."""
        if not folder.is_dir():
            raise HwnasError(f"bundle {str(folder)!r}: no such folder; `hwnas export` writes one for each device")
        certificate = _read_certificate(folder)
        data = {}
        for name, facts in certificate.files.items():
            data[name] = _read_plain(folder, name, facts.bytes, exactly=True)
            if (found := sha256(data[name]).hexdigest()) != facts.sha256:
                raise HwnasError(f"bundle {str(folder)!r}: {name} was changed: its sha256 is {found[:12]}..., not {facts.sha256[:12]}...")
            refuse_external(name, data[name])
        return Bundle(folder, certificate, data)

    def put(self, name: str, folder: Path) -> Path:
        """Writes one of the checked files into a folder of one's own."""
        path = folder / name
        path.write_bytes(self.data[name])
        return path


def _read_certificate(folder: Path) -> _Certificate:
    path = folder / CERTIFICATE
    try:
        read = json.loads(_read_plain(folder, CERTIFICATE, MAX_CERTIFICATE_BYTES))
    except (ValueError, RecursionError) as error:
        raise HwnasError(f"{path}: not readable as JSON: {str(error)[:200]}") from None
    if isinstance(read, dict) and read.get("format") != FORMAT:
        raise HwnasError(f"{path}: format = {repr(read.get('format'))[:40]}: this hwnas reads format {FORMAT}")
    try:
        certificate = _Certificate.model_validate(read, strict=True)
    except ValidationError as invalid:
        wrong = invalid.errors()[0]
        key = ".".join(map(str, wrong["loc"])) or "the whole"
        raise HwnasError(f"{path}: {key[:100]!r} = {repr(wrong.get('input'))[:80]}: {wrong['msg']}") from None
    fields = sorted(metric.field for metric in METRICS.values())
    for field in certificate.limits:
        if field not in fields:
            raise HwnasError(f"{path}: limits.{field[:60]!r}: known are {', '.join(fields)}")
    if certificate.rules.name not in RULES:
        raise HwnasError(f"{path}: rules.name = {certificate.rules.name[:60]!r}: known are {', '.join(RULES)}")
    for name in (certificate.certified_file, FILE):
        if name not in certificate.files:
            raise HwnasError(f"{path}: files has no {name[:100]!r}: without it the bundle cannot be verified")
    return certificate


def _read_plain(folder: Path, name: str, most: int, exactly: bool = False) -> bytes:
    """The bytes of a plain file directly in the folder: no path, no link, no device, at most (or exactly) so many of them."""
    where = f"bundle {str(folder)!r}: {name[:100]!r}"
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise HwnasError(f"{where} is not the name of a file in it (letters, digits, '.', '_', '-', and no folders)")
    try:
        handle = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        link = (folder / name).is_symlink()
        raise HwnasError(f"{where} {'is a link, which may lead out of it' if link else f'cannot be read: {error.strerror}'}") from None
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise HwnasError(f"{where} is not a plain file")
    with os.fdopen(handle, "rb") as file:
        if facts.st_size > most or (exactly and facts.st_size != most):
            raise HwnasError(f"{where} has {facts.st_size} bytes, {'not' if exactly else 'more than'} {most}")
        return file.read(most + 1)
