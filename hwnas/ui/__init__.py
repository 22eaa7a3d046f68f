"""A run while it goes on, in a browser on this machine: how far each step is, and what another budget would give."""

from .server import Server
from .site import Site

__all__ = ["Server", "Site"]
