"""What an architecture costs: exact figures from its blocks, and latency from a device's table."""

from .cost_model import CostModel, Stream
from .facts import Facts, facts
from .metrics import METRICS, Metric
from .precision import Precision, precision

__all__ = ["METRICS", "CostModel", "Facts", "Metric", "Precision", "Stream", "facts", "precision"]
