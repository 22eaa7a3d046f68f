"""All that a plugin's author needs to write: every check of `hwnas check numpy` as a test."""

from hwnas.conformance import Conformance
from hwnas.device import Device


class TestNumpy(Conformance):
    device = Device(name="numpy", runtime="numpy")
