"""Scorers: Z (n, genes) -> accuracy (n,)."""

from .inherited import InheritedScorer
from .remote import scoring_work
from .scorer import Scorer
from .trained import TrainScorer

RunScorer = InheritedScorer | TrainScorer  # those that a run can have: they keep what they scored, and have its networks

__all__ = ["InheritedScorer", "RunScorer", "Scorer", "TrainScorer", "scoring_work"]
