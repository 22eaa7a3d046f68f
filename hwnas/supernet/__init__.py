"""One network that holds the weights of every architecture of a space."""

from .resize import resize
from .supernet import Supernet, fix

__all__ = ["Supernet", "fix", "resize"]
