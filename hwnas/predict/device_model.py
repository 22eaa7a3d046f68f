"""From a device's table to a CostModel of a space, and the measurements that it needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..block import Block
from ..cost import CostModel, Precision, precision
from ..device import Device
from ..errors import HwnasError
from ..measure import Job, Plan, Quietness, Report, profile
from ..profiler import is_estimate
from ..space import Codes, Space
from ..table import Table
from .additive import Additive, additive
from .block_predictor import MIN_FIT, BlockPredictor
from .calibration import DRIFT, MIN_NETWORKS, Calibration
from .choose import OVERHEAD, choose_blocks, choose_networks
from .drift import Drift
from .networks import code_of, network_jobs, network_key, networks_in
from .searched import searched_networks
from .tails import Tails
from .transferred import Transferred
from .trust import Trust, table_digest

log = logging.getLogger(__name__)
MAX_BLOCKS = 400  # measured at most, unless asked for more; the predictor fills the rest


def profile_space(
    space: Space,
    device: Device,
    lut_dir: Path,
    *,
    blocks: int = MAX_BLOCKS,
    networks: int = 40,
    held_out: int = 20,
    searched: bool = False,
    plan: Plan = Plan(),  # noqa: B008  (frozen)
    network_rounds: int = 0,
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Quietness, Calibration]:
    """Measures blocks and whole networks of the space on the device, fits the calibration, writes it and the trust report under lut_dir.

    blocks, networks: how many at most, of each; held_out: random networks on top, for the trust report only. network_rounds: of all
    networks, where that is more than the plan's; those come last, in a sitting in which they are alone with each other.
    searched: half of the networks are the winners of searches with the table as it is so far, so that the bound holds for winners, too.
    Run again, it goes on where it stopped; with more, it adds the rest.
    """
    least = 2 * MIN_NETWORKS if searched else MIN_NETWORKS
    if networks < least:
        halves = ", half of them for winners" if searched else ""
        raise HwnasError(f"profile: {networks} networks are too few for a 95 % bound{halves}, at least {least}")
    if blocks < min(MIN_FIT, len(space.blocks)):
        raise HwnasError(f"profile: {blocks} blocks are too few to predict the others from, at least {MIN_FIT}")
    folder = lut_dir / device.name
    wanted = [OVERHEAD, *choose_blocks(space.blocks, blocks)]
    codes = choose_networks(space, networks // 2 if searched else networks, seed)
    others = space.sample(held_out, np.random.default_rng([seed, 41]))
    whole = network_jobs(space, [*others, *codes], device.batch)
    quietness = profile(device, {str(b): Job.of(b, device.batch) for b in wanted} | whole, lut_dir, plan, report)
    often = replace(plan, rounds=max(plan.rounds, network_rounds))
    if often != plan:
        quietness = profile(device, whole, lut_dir, often, report)
    if not searched:
        return quietness, calibrate(space, folder, codes)
    picked = _searched_before(space, folder)
    if len(picked) < networks - len(codes):
        calibrate(space, folder, codes)
        picked = list(searched_networks(device_model(space, folder), networks - len(codes), seed))
    quietness = profile(device, network_jobs(space, picked, device.batch), lut_dir, often, report)
    return quietness, calibrate(space, folder, np.array([*codes, *picked]), np.array(picked))


def _searched_before(space: Space, folder: Path) -> list[np.ndarray]:
    """The networks that the calibration there took from searches: another table would lead to others, and none is measured twice."""
    try:
        return [code_of(k) for k in Calibration.load(folder / "calibration.json", space.hash).searched]
    except HwnasError:
        return []


def calibrate(space: Space, folder: Path, codes: Codes | None = None, searched: Codes | None = None) -> Calibration:
    """Fits the calibration of a space on the networks that the table in `folder` holds (or on those of codes), and saves it.

    searched: those of them that a search picked. Beside it goes the trust report, on the networks in the table that are left.
    """
    table = Table.read(folder / "table.jsonl")
    values = table.values()
    known = networks_in(space, list(values))
    wanted = known.keys() if codes is None else {network_key(space, z) for z in codes}
    block_ms, predicted = _block_ms(space, table)
    by_block = dict(zip(space.blocks, block_ms))
    parts = {k: space.blocks_of(z) for k, z in known.items()}
    usable = [k for k, blocks in parts.items() if np.isfinite([by_block[b] for b in blocks]).all()]
    fitted = [k for k in usable if k in wanted]
    picked = {network_key(space, z) for z in searched} & set(fitted) if searched is not None else set()
    calibration = Calibration.fit(
        [parts[k] for k in fitted],
        np.array([values[k] for k in fitted]),
        by_block,
        _overhead_ms(values),
        space.hash,
        table_digest(table),
        fitted,
        picked,
    )
    calibration.save(folder / "calibration.json")
    rest = [k for k in usable if k not in calibration.networks]
    model = _calibrated(space, block_ms, calibration)
    model.predicted = predicted
    codes_of_rest = np.array([known[k] for k in rest]).reshape(-1, len(space.genes))
    report = Trust.of(table.device, model, calibration, codes_of_rest, np.array([values[k] for k in rest]), calibration.searched)
    report.save(folder / "trust.json")
    return calibration


def device_model(space: Space, folder: Path, force: bool = False, drift: Drift | None = None) -> CostModel:
    """The cost model of a space on the device whose table lies in `folder`; `model.predicted` names blocks not measured.

    drift: how fast the device is today; every latency is multiplied by its factor, and the bound takes its term.
    Raises HwnasError when there is no table, when it is of another space, or when its calibration is missing or was made
    with another table; force takes plain sums instead of a missing calibration.
    """
    path = folder / "table.jsonl"
    way_out = _way_out(space, folder)
    if not path.exists():
        raise HwnasError(f"device {folder.name!r}: no table at {path}: {way_out}")
    table = Table.read(path)
    values = table.values()
    transferred = Transferred.load(folder, space)
    if transferred and not any(str(b) in values for b in space.blocks):  # a profile of its own would be better
        if transferred.table_fingerprint != table_digest(table):
            raise HwnasError(f"{folder / 'transfer.json'}: was made with a table of another fingerprint: run `hwnas transfer` again")
        return transferred.model(space)
    if not any(str(b) in values for b in space.blocks):
        raise HwnasError(f"{path}: a table of another space: it has none of the {len(space.blocks)} blocks of {space.name!r}: {way_out}")
    block_ms, predicted = _block_ms(space, table)
    try:
        calibration = calibration_for(space, table)
    except HwnasError:
        if not force:
            raise
        model = CostModel(space, {"latency_ms": block_ms}, precision=_precision(table))
    else:
        tails = Tails.find(folder, space.hash, table_digest(table))
        model = _calibrated(space, block_ms, calibration, drift, additive(space, table), _precision(table), tails)
    model.predicted, model.estimate = predicted, is_estimate(table.fingerprint)
    return model


def calibration_for(space: Space, table: Table) -> Calibration:
    """The calibration beside a table. Raises HwnasError when there is none for this space, or it was made with another table."""
    path = table.path.parent / "calibration.json"
    calibration = Calibration.load(path, space.hash)
    if calibration.table_fingerprint != table_digest(table):
        raise HwnasError(f"{path}: was made with a table of another fingerprint: {_way_out(space, path.parent)}")
    return calibration


def _way_out(space: Space, folder: Path) -> str:
    return f"run `hwnas profile {folder.name} --space '{space.spec or space.name}'`"


def _calibrated(
    space: Space,
    block_ms: np.ndarray,
    calibration: Calibration,
    drift: Drift | None = None,
    others: Mapping[str, Additive] | None = None,
    files: Precision = precision("fp32"),  # noqa: B008  (frozen)
    tails: Tails | None = None,
) -> CostModel:
    factor, term = (drift.factor, drift.term) if drift else (1.0, DRIFT)
    others = others or {}
    bounds = {"latency_ms": calibration.bound(term)} | {field: other.bound for field, other in others.items()}
    margin = {"latency_ms": calibration.margin - DRIFT + term} | {field: other.bound.margin() for field, other in others.items()}
    usual = tails.usual if tails else {}
    for field in usual:
        bounds[field] = calibration.bound(term, tails.relative(field))  # type: ignore[union-attr]
        margin[field] = bounds[field].margin()
    return CostModel(
        space,
        {"latency_ms": calibration.correct(space.blocks, block_ms) * factor} | {field: other.blocks for field, other in others.items()},
        {"latency_ms": calibration.base_ms * factor} | {field: other.base for field, other in others.items()},
        margin,
        calibration.stream.times(factor),
        files,
        usual,
        bounds,
    )


def _block_ms(space: Space, table: Table) -> tuple[np.ndarray, dict[Block, float]]:
    """(blocks,) latency of each, inf where it failed on the device; and block -> relative deviation of those that were not measured."""
    values, failed = table.values(), table.failed
    measured = [b for b in space.blocks if str(b) in values]
    missing = [b for b in space.blocks if str(b) not in values and str(b) not in failed]
    out, deviation = np.array([values.get(str(b), np.inf) for b in space.blocks]), np.zeros(0)
    if missing:
        log.info("%s: predicting %d blocks from %d measured ones", table.path, len(missing), len(measured))
        predictor = BlockPredictor().fit(measured, np.array([values[str(b)] for b in measured]))
        position = {b: i for i, b in enumerate(space.blocks)}
        out[[position[b] for b in missing]], deviation = predictor.predict(missing)
    return out, dict(zip(missing, map(float, deviation)))


def _precision(table: Table) -> Precision:
    """Of the device's files, by the settings it was measured under."""
    settings = table.fingerprint.get("device", {})
    suffix = ".tflite" if settings.get("runtime") == "tflite" else ".onnx"
    return precision(settings.get("dtype", "fp32"), suffix)


def _overhead_ms(values: dict[str, float]) -> float:
    if str(OVERHEAD) not in values:
        raise HwnasError(f"table: no row for {OVERHEAD}, from which the cost of one call is known: profile again")
    return values[str(OVERHEAD)]
