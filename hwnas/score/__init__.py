"""Scorers: Z (n, genes) -> accuracy (n,)."""

from .inherited import InheritedScorer
from .remote import scoring_work
from .scorer import Scorer

__all__ = ["InheritedScorer", "Scorer", "scoring_work"]
