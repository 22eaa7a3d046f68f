"""One network that holds the weights of every architecture of a space."""

from .network import network
from .resize import resize
from .supernet import Supernet, fix

__all__ = ["Supernet", "fix", "network", "resize"]
