"""Data: images in memory, in three splits; a loader is a function (root, seed) -> Dataset, found through `hwnas.data` entry points."""

from .augment import Augment
from .batches import Batches, to_float
from .dataset import Dataset, Split, hold_out
from .load import load_data

__all__ = ["Augment", "Batches", "Dataset", "Split", "hold_out", "load_data", "to_float"]
