"""Training: one loop, one file for each algorithm. An algorithm is a function (Run) -> Step, found through `hwnas.algorithms`."""

from .alpha import Alpha
from .checkpoint import load_weights, newest, read_progress
from .constraint import Constraint
from .loop import Algorithm, train
from .options import Traits, options_type, parse_options, traits, traits_of
from .progress import Progress, Report
from .recalibrate import recalibrate
from .recipe import Recipe
from .result import Derived, Result
from .retrain import retrain, split_accuracy
from .run import Run, Step, accuracy, soft_cross_entropy

__all__ = [
    "Algorithm",
    "Alpha",
    "Constraint",
    "Derived",
    "Progress",
    "Recipe",
    "Report",
    "Result",
    "Run",
    "Step",
    "Traits",
    "accuracy",
    "load_weights",
    "newest",
    "options_type",
    "parse_options",
    "read_progress",
    "recalibrate",
    "retrain",
    "soft_cross_entropy",
    "split_accuracy",
    "train",
    "traits",
    "traits_of",
]
