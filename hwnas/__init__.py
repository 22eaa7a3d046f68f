"""hwnas: hardware-aware neural architecture search with device profiler plugins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import nn
    from .nn import fix
    from .space import Space
    from .train import fit as train

__all__ = ["Space", "fix", "nn", "train"]
__version__ = "0.1.0"

_HERE = {"Space": "space", "fix": "nn"}  # name -> its module


def __getattr__(name: str) -> Any:
    """What `import hwnas` promises, imported when it is used: torch takes seconds, and a worker on a board has none."""
    if name in ("nn", "train"):
        return import_module(f"hwnas.{name}")
    if name in _HERE:
        return getattr(import_module(f"hwnas.{_HERE[name]}"), name)
    raise AttributeError(f"module 'hwnas' has no attribute {name!r}")
