"""Named search spaces, one function each, and how a space is named on a command line or in a file."""

from __future__ import annotations

from .darts import darts
from .mobilenet import mobilenet
from .named import load_space, quickstart
from .nasbench201 import nasbench201

__all__ = ["darts", "load_space", "mobilenet", "nasbench201", "quickstart"]
