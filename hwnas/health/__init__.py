"""Whether a supernet ranks architectures as training each alone would."""

from .rank import Rank, rank_correlation
from .verdict import verdict

__all__ = ["Rank", "rank_correlation", "verdict"]
