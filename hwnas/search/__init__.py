"""Finding, for each device, the best architecture that keeps its budget."""

from .evolution import Evolution, evolve
from .feasible import Feasible, Target
from .methods import METHODS
from .reachable import Range, reachable
from .result import Found, random_search

__all__ = ["METHODS", "Evolution", "Feasible", "Found", "Range", "Target", "evolve", "random_search", "reachable"]
