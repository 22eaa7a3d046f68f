"""What an architecture costs: exact figures from its blocks, and latency from a device's table."""

from .bound import Bound
from .cost_model import CostModel
from .facts import Facts, facts
from .metrics import FIELDS, METRICS, Metric
from .precision import Precision, precision
from .stream import Stream

__all__ = ["FIELDS", "METRICS", "Bound", "CostModel", "Facts", "Metric", "Precision", "Stream", "facts", "precision"]
