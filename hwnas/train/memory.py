"""Memory: what an algorithm has to remember beside weights, and a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Memory(dict[str, Any]):
    """A mapping of numbers, strings, tensors, lists and mappings of them: `run.keep(baseline=Memory(value=0.0))`."""

    def state_dict(self) -> dict[str, Any]:
        return dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.clear()
        self.update(state_dict)
