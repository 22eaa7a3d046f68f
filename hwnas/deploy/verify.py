"""verify: a certificate repeated later, on another machine, from the bundle alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..cost import METRICS
from ..device import Device
from ..errors import HwnasError
from ..lower import read_torch
from ..profiler import load_profiler
from .accuracy import outputs_of, sqnr_db
from .bundle import Bundle
from .certificate import Verdict, counts, judge_limits
from .sample import FILE, read_sample
from .timing import RULES, Rules, Timing, time_file

# How near a file's outputs must come to those at export, dB. Kernels of other processors round elsewhere: by 1e-6 of the value in fp32,
# by 1e-3 in fp16, by a step of the scale in int8. A wrong file, or one that saturates, is far below.
PARITY_DB = {"fp32": 80.0, "fp16": 45.0, "int8": 25.0}


@dataclass(frozen=True)
class Check:
    """What was found when the certificate was repeated."""

    verdict: Verdict
    limits: dict[str, Any]  # field -> budget, value, keeps, and "certified": the value in the certificate
    parity_db: float  # of the file's outputs here against those at export
    parity_at_least_db: float
    timing: Timing
    differences: dict[str, tuple[Any, Any]]  # what is other than in the certificate's fingerprint: (there, here)


def verify(bundle: Bundle, device: Device, rules: Rules | None = None) -> Check:
    """Times the certified file on the device under the certificate's limits, and compares its outputs with those at export.

    FAIL where a limit is broken or the outputs differ; INCONCLUSIVE where the machine was too busy. Only the file and the device's own
    settings decide what runs: nothing of the bundle is imported, and no setting is taken from it. Raises HwnasError where the device
    cannot run the file.
    """
    c = bundle.certificate
    profiler = load_profiler(device.runtime)
    if profiler.suffix != Path(c.certified_file).suffix:
        runs = f"device {device.name!r} runs {profiler.suffix} files"
        raise HwnasError(f"{runs}, the bundle certifies {c.certified_file}: give another --device")
    with TemporaryDirectory(prefix="hwnas-") as folder:
        file = bundle.put(c.certified_file, Path(folder))
        x, expected = read_sample(bundle.put(FILE, Path(folder)), c.certified_file)
        y = outputs_of(file, device, x)
        if y.shape != expected.shape:
            raise HwnasError(f"{c.certified_file}: gives outputs of shape {y.shape}, those at export have {expected.shape}")
        timing = time_file(device, file, rules or RULES[c.rules.name])
        verdict, limits = judge_limits({f: k.demand for f, k in c.limits.items()}, timing, _counted(bundle, Path(folder)))
    parity, least = sqnr_db(expected, y), PARITY_DB.get(c.dtype, PARITY_DB["int8"])
    if parity < least or not np.isfinite(y).all():
        verdict = "FAIL"
    for field, kept in limits.items():
        kept["certified"] = c.limits[field].value
    return Check(verdict, limits, parity, least, timing, _differences(c.fingerprint, timing.fingerprint))


def _counted(bundle: Bundle, folder: Path) -> dict[str, float]:
    """Counts taken again, from the file and from the program in model.safetensors."""
    counted: dict[str, float] = {"file_bytes": len(bundle.data[bundle.certificate.certified_file])}
    if all(metric.measured or metric.field in counted for metric in METRICS.values() if metric.field in bundle.certificate.limits):
        return counted
    if "model.safetensors" not in bundle.data:
        raise HwnasError(f"bundle {str(bundle.folder)!r}: no model.safetensors, from which memory, MACs and parameters are counted")
    return counted | counts(read_torch(bundle.put("model.safetensors", folder)).program, bundle.certificate.dtype)


def _differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (there, here), where two fingerprints say different things."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys((*there, *here)):
        a, b = there.get(key), here.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found[f"{prefix}{str(key)[:60]}"] = (a, b)
    return found
