"""Training: one loop, one file for each algorithm. An algorithm is a function (Run) -> Step, found through `hwnas.algorithms`.

The package itself can be called: `hwnas.train(model, "enas", ...)` is `hwnas.train.fit(model, "enas", ...)`.
"""

import sys
from types import ModuleType
from typing import Any

from .alpha import Alpha
from .checkpoint import load_weights, newest, read_progress
from .constraint import Constraint
from .fit import Fitted, fit
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
    "Fitted",
    "Progress",
    "Recipe",
    "Report",
    "Result",
    "Run",
    "Step",
    "Traits",
    "accuracy",
    "fit",
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


class _Callable(ModuleType):
    """`hwnas.train` is a package and, as users of such libraries expect, a function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Fitted:
        return fit(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
