"""Scorers: Z (n, genes) -> accuracy (n,)."""

from .inherited import InheritedScorer
from .scorer import Scorer

__all__ = ["InheritedScorer", "Scorer"]
