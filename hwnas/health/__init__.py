"""Whether a supernet ranks architectures as training each alone would."""

from .all_paths import all_paths, kl_to_all_paths
from .rank import Rank, rank_correlation, rank_within
from .verdict import verdict

__all__ = ["Rank", "all_paths", "kl_to_all_paths", "rank_correlation", "rank_within", "verdict"]
