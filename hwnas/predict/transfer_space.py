"""Transfer of a space to a new device: a few whole networks are measured there, the rest is taken from other devices' tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..device import Device
from ..errors import HwnasError
from ..measure import Plan, Quietness, Report, profile
from ..shipped import table_folder
from ..space import Space
from ..table import Table
from .device_model import device_model
from .networks import network_jobs, network_key
from .transferred import SourceTables, Transferred
from .trust import table_digest


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

    sources: names of devices profiled on this space, or of tables that come with hwnas; the networks are chosen for what they tell about
    the new device.
    """
    if networks < 3:
        raise HwnasError(f"transfer: {networks} networks are too few, at least 3")
    if device.name in sources or len(set(sources)) < len(sources):
        raise HwnasError(f"transfer: sources {', '.join(sources)}: name each device once, and not {device.name!r} itself")
    tables = SourceTables(space, [device_model(space, table_folder(lut_dir, s)) for s in sources])
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
    transferred = tables.fit(np.array(measured), latency_ms, sources, table_digest(table))
    transferred.save(folder, space)
    return quietness, transferred
