"""From a device's table to a CostModel of a space, and the measurements that it needs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..block import Block
from ..cost import CostModel
from ..device import Device
from ..errors import HwnasError
from ..measure import Job, Plan, Quietness, Report, profile
from ..profiler import is_estimate
from ..space import Codes, Space
from ..supernet import network
from ..table import Table
from .additive import additive
from .block_predictor import MIN_FIT, BlockPredictor
from .calibration import MIN_NETWORKS, Calibration
from .choose import OVERHEAD, choose_blocks, choose_networks, network_key, networks_in
from .transferred import SourceTables, Transferred

log = logging.getLogger(__name__)
MAX_BLOCKS = 400  # measured at most, unless asked for more; the predictor fills the rest


def profile_space(
    space: Space,
    device: Device,
    lut_dir: Path,
    *,
    blocks: int = MAX_BLOCKS,
    networks: int = 40,
    plan: Plan = Plan(),  # noqa: B008  (frozen)
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Quietness, Calibration]:
    """Measures blocks and whole networks of the space on the device, fits the calibration, writes both under lut_dir.

    blocks, networks: how many at most, of each. Run again, it goes on where it stopped; with more, it adds the rest.
    """
    if networks < MIN_NETWORKS:
        raise HwnasError(f"profile: {networks} networks are too few for a 95 % bound, at least {MIN_NETWORKS}")
    if blocks < min(MIN_FIT, len(space.blocks)):
        raise HwnasError(f"profile: {blocks} blocks are too few to predict the others from, at least {MIN_FIT}")
    wanted = [OVERHEAD, *choose_blocks(space.blocks, blocks)]
    codes = choose_networks(CostModel(space), networks, seed)
    jobs = {str(b): Job.of(b, device.batch) for b in wanted} | network_jobs(space, codes, device.batch)
    quietness = profile(device, jobs, lut_dir, plan, report)
    return quietness, calibrate(space, lut_dir / device.name, codes)


def transfer_space(
    space: Space,
    device: Device,
    sources: Sequence[str],
    lut_dir: Path,
    *,
    networks: int = 10,
    plan: Plan = Plan(),  # noqa: B008
    report: Report | None = None,
) -> tuple[Quietness, Transferred]:
    """Measures a few whole networks of the space on the device, and takes the rest from tables of other devices.

    sources: names of devices profiled on this space; the networks are chosen for what they tell about the new device.
    """
    if networks < 3:
        raise HwnasError(f"transfer: {networks} networks are too few, at least 3")
    if device.name in sources or len(set(sources)) < len(sources):
        raise HwnasError(f"transfer: sources {', '.join(sources)}: name each device once, and not {device.name!r} itself")
    tables = SourceTables(space, [device_model(space, lut_dir / s) for s in sources])
    codes = tables.codes[tables.choose(networks)]
    quietness = profile(device, network_jobs(space, codes, device.batch), lut_dir, plan, report)
    folder = lut_dir / device.name
    table = Table.read(folder / "table.jsonl")
    values = table.values()
    measured = [z for z in codes if network_key(space, z) in values]
    if len(measured) < 3:
        reasons = "; ".join(sorted(set(table.failed.values())))
        raise HwnasError(f"transfer: device {device.name!r} ran {len(measured)} of {networks} networks: {reasons}")
    latency_ms = np.array([values[network_key(space, z)] for z in measured])
    transferred = tables.fit(np.array(measured), latency_ms, sources, digest(table))
    transferred.save(folder, space)
    return quietness, transferred


def network_jobs(space: Space, Z: Codes, batch: int = 1) -> dict[str, Job]:
    """Key -> job of whole networks Z (n, genes) with fresh weights, to be measured as blocks are."""
    channels = next(b for b in space.slots[0].blocks if b).cin
    return {network_key(space, z): Job(lambda z=z: network(space, z), ((batch, channels, *space.input_size(z)),)) for z in Z}  # type: ignore[misc]


def calibrate(space: Space, folder: Path, codes: Codes | None = None) -> Calibration:
    """Fits the calibration of a space on the networks that the table in `folder` holds (or on those of codes), and saves it."""
    table = Table.read(folder / "table.jsonl")
    values = table.values()
    known = networks_in(space, list(values))
    if codes is not None:
        known = {k: z for k in (network_key(space, z) for z in codes) if (z := known.get(k)) is not None}
    block_ms = dict(zip(space.blocks, _block_ms(space, table)[0]))
    parts = {k: space.blocks_of(z) for k, z in known.items()}
    usable = [k for k, blocks in parts.items() if np.isfinite([block_ms[b] for b in blocks]).all()]
    measured = np.array([values[k] for k in usable])
    calibration = Calibration.fit([parts[k] for k in usable], measured, block_ms, _overhead_ms(values), space.hash, digest(table))
    calibration.save(folder / "calibration.json")
    return calibration


def device_model(space: Space, folder: Path, force: bool = False) -> CostModel:
    """The cost model of a space on the device whose table lies in `folder`; `model.predicted` names blocks not measured.

    Raises HwnasError when there is no table, when it is of another space, or when its calibration is missing or was made
    with another table; force takes plain sums instead of a missing calibration.
    """
    path = folder / "table.jsonl"
    way_out = f"run `hwnas profile {folder.name} --space '{space.spec or space.name}'`"
    if not path.exists():
        raise HwnasError(f"device {folder.name!r}: no table at {path}: {way_out}")
    table = Table.read(path)
    values = table.values()
    transferred = Transferred.load(folder, space)
    if transferred and not any(str(b) in values for b in space.blocks):  # a profile of its own would be better
        if transferred.table_fingerprint != digest(table):
            raise HwnasError(f"{folder / 'transfer.json'}: was made with a table of another fingerprint: run `hwnas transfer` again")
        return transferred.model(space)
    if not any(str(b) in values for b in space.blocks):
        raise HwnasError(f"{path}: a table of another space: it has none of the {len(space.blocks)} blocks of {space.name!r}: {way_out}")
    block_ms, predicted = _block_ms(space, table)
    try:
        calibration = Calibration.load(folder / "calibration.json", space.hash)
        if calibration.table_fingerprint != digest(table):
            raise HwnasError(f"{folder / 'calibration.json'}: was made with a table of another fingerprint: {way_out}")
    except HwnasError:
        if not force:
            raise
        model = CostModel(space, {"latency_ms": block_ms})
    else:
        corrected = calibration.correct(space.blocks, block_ms)
        others = additive(space, table)
        model = CostModel(
            space,
            {"latency_ms": corrected} | {field: other.blocks for field, other in others.items()},
            {"latency_ms": calibration.base_ms} | {field: other.base for field, other in others.items()},
            {"latency_ms": calibration.margin} | {field: other.margin for field, other in others.items()},
        )
    model.predicted, model.estimate = predicted, is_estimate(table.fingerprint)
    return model


def _block_ms(space: Space, table: Table) -> tuple[np.ndarray, frozenset[Block]]:
    """(blocks,) latency of each, inf where it failed on the device; and the blocks that were predicted, not measured."""
    values, failed = table.values(), table.failed
    measured = [b for b in space.blocks if str(b) in values]
    missing = [b for b in space.blocks if str(b) not in values and str(b) not in failed]
    out = np.array([values.get(str(b), np.inf) for b in space.blocks])
    if missing:
        log.info("%s: predicting %d blocks from %d measured ones", table.path, len(missing), len(measured))
        predictor = BlockPredictor().fit(measured, np.array([values[str(b)] for b in measured]))
        position = {b: i for i, b in enumerate(space.blocks)}
        out[[position[b] for b in missing]] = predictor.predict(missing)[0]
    return out, frozenset(missing)


def _overhead_ms(values: dict[str, float]) -> float:
    if str(OVERHEAD) not in values:
        raise HwnasError(f"table: no row for {OVERHEAD}, from which the cost of one call is known: profile again")
    return values[str(OVERHEAD)]


def digest(table: Table) -> str:
    """16 hex digits over the table's fingerprint."""
    return sha256(json.dumps(table.fingerprint, sort_keys=True).encode()).hexdigest()[:16]
