"""A space is one function that returns a hwnas Space."""

from __future__ import annotations

from hwnas.space import Space
from hwnas.spaces import mobilenet


def small(channels: int = 1, size: int = 8, classes: int = 10) -> Space:
    """A few MobileNet-like architectures for slow devices."""
    return mobilenet(
        channels,
        size,
        classes,
        resolutions=(size,),
        stem=8,
        stem_stride=1,
        widths=((8, 12),),
        depth=3,
        strides=(1,),
        kernels=(3, 5),
        expands=(1, 2),
        squeezes=(0,),
        acts=("relu",),
    )
