"""Training: one loop, one file for each algorithm. An algorithm is a function (Run) -> Step, found through `hwnas.algorithms`."""

from .checkpoint import load_weights, newest, read_progress
from .loop import train
from .progress import Progress, Report
from .recalibrate import recalibrate
from .recipe import Recipe
from .retrain import retrain, split_accuracy
from .run import Run, Step, accuracy, soft_cross_entropy

__all__ = [
    "Progress",
    "Recipe",
    "Report",
    "Run",
    "Step",
    "accuracy",
    "load_weights",
    "newest",
    "read_progress",
    "recalibrate",
    "retrain",
    "soft_cross_entropy",
    "split_accuracy",
    "train",
]
