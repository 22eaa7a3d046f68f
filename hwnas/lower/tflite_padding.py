"""How TFLite's two padding schemes meet torch's explicit padding, for one window that slides over an image.

TFLite's SAME puts the odd pixel at the end. torch pads both sides alike, so that at stride 2 and even size the odd pixel lies at the
start and the padding at the end is never read. Where SAME does not pad as torch does, the file needs an explicit pad.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """The window's way along one axis of the image, in pixels."""

    size: int  # of the image
    kernel: int
    stride: int
    dilation: int
    before: int  # padding at the start
    count: int  # positions of the window

    @property
    def after(self) -> int:
        """Padding that is read at the end; torch's may be larger."""
        return max(self._span - self.size - self.before, 0)

    @property
    def same(self) -> bool:
        """Whether SAME pads just so."""
        return self.count == -(-self.size // self.stride) and self.before == max(self._span - self.size, 0) // 2

    @property
    def covered(self) -> np.ndarray:
        """(count,) int: how many of the window's pixels lie in the image at each position."""
        start = np.arange(self.count) * self.stride - self.before
        return np.minimum(start + self.kernel, self.size) - np.maximum(start, 0)

    @property
    def _span(self) -> int:
        """From the first pixel that is read, padding included, to the last."""
        return (self.count - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
