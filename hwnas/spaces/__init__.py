"""Named search spaces, one function each, and how a space is named on a command line or in a file."""

from __future__ import annotations

from .darts import darts
from .mobilenet import mobilenet
from .named import load_space, quickstart
from .nasbench201 import nasbench201
from .one_shot_cell import one_shot_cell
from .resnet import resnet
from .shufflenet import shufflenet
from .single_path import single_path
from .vgg16 import vgg16

__all__ = [
    "darts",
    "load_space",
    "mobilenet",
    "nasbench201",
    "one_shot_cell",
    "quickstart",
    "resnet",
    "shufflenet",
    "single_path",
    "vgg16",
]
