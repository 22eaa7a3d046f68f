"""From `mobilenet(size=224, classes=1000)`, as written on a command line or in a file, to a Space."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ..errors import HwnasError
from ..plugins import SPACES, load
from ..space import Space
from .mobilenet import mobilenet


def quickstart(channels: int = 1, size: int = 8, classes: int = 10) -> Space:
    """The small MobileNet-like space of `hwnas run quickstart`: 8 x 8 images, worked on at 12 x 12."""
    return mobilenet(
        channels,
        size,
        classes,
        resolutions=(size * 3 // 2,),
        stem_stride=1,
        widths=((12, 16), (24, 32)),
        depth=3,
        strides=(1, 2),
        kernels=(3, 5),
        expands=(1, 2, 4),
        acts=("relu",),
    )


def load_space(spec: str, of_data: Mapping[str, int] | None = None) -> Space:
    """The space behind `name`, `name(key=value, ...)`, or `file.py:function` with or without arguments.

    of_data: channels, size and classes of the data, for those parameters the function has and the spec leaves out.
    Raises HwnasError for an unknown name or argument. The space's `spec` makes it again, whatever the data.
    """
    name, _, rest = spec.partition("(")
    arguments = _arguments(spec, rest) if rest else {}
    function = load(SPACES, name.strip())
    parameters = inspect.signature(function).parameters
    for key in arguments:
        if key not in parameters:
            raise HwnasError(f"space {name!r}: unknown argument {key!r}: it takes {', '.join(parameters)}")
    arguments = {k: v for k, v in (of_data or {}).items() if k in parameters} | arguments
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a model of the user's own begins with the same weights in every process
            space = function(**arguments)
    except (TypeError, ValueError) as error:
        raise HwnasError(f"space {spec!r}: {error}") from error
    if not isinstance(space, Space):
        way_out = ": return Space.from_model(model, example_input)" if isinstance(space, torch.nn.Module) else ""
        raise HwnasError(f"space {spec!r}: the function gives a {type(space).__name__}, not a hwnas Space{way_out}")
    return replace(space, spec=f"{name.strip()}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})")


def _arguments(spec: str, rest: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        assert isinstance(call, ast.Call) and not call.args and len({k.arg for k in call.keywords}) == len(call.keywords)
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise HwnasError(f"space {spec!r}: expected name(key=value, ...) with plain values") from None
