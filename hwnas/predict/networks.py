"""Whole networks as rows of a table: their keys, and the jobs that measure them as blocks are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..measure import Job
from ..space import Codes, Space
from ..supernet import network


def network_key(space: Space, z: np.ndarray) -> str:
    """The key of a whole network's rows in a table: `net(space hash,code)`."""
    return f"net({space.hash},{'.'.join(map(str, z))})"


def code_of(key: str) -> np.ndarray:
    """(genes,) of a network's key."""
    return np.array(key[key.index(",") + 1 : -1].split("."), np.int64)


def networks_in(space: Space, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Key -> code (genes,), of those keys that are networks of this space."""
    return {k: code_of(k) for k in keys if k.startswith(f"net({space.hash},")}


def network_jobs(space: Space, Z: Codes | Sequence[np.ndarray], batch: int = 1) -> dict[str, Job]:
    """Key -> job of whole networks Z (n, genes) with fresh weights."""
    channels = next(b for b in space.slots[0].blocks if b).cin
    return {network_key(space, z): Job(lambda z=z: network(space, z), ((batch, channels, *space.input_size(z)),)) for z in Z}  # type: ignore[misc]
