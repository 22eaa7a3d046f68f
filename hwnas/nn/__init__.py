"""Choices to put into a model of one's own, and from there to a space: see docs/own-model.md."""

from __future__ import annotations

from .fixed import fix
from .input_choice import InputChoice
from .keyed import Keyed
from .layer_choice import LayerChoice
from .value_choice import ValueChoice

__all__ = ["InputChoice", "Keyed", "LayerChoice", "ValueChoice", "fix"]
