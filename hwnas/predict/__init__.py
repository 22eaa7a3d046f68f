"""From a table of measured blocks to the latency of any network of the space, with a bound."""

from .block_predictor import BlockPredictor
from .calibration import Calibration
from .choose import choose_blocks, choose_networks, network_key
from .device_model import calibrate, device_model, network_jobs, profile_space, transfer_space
from .fidelity import Fidelity
from .transfer import Transfer
from .transferred import Transferred

__all__ = [
    "BlockPredictor",
    "Calibration",
    "Fidelity",
    "Transfer",
    "Transferred",
    "calibrate",
    "choose_blocks",
    "choose_networks",
    "device_model",
    "network_jobs",
    "network_key",
    "profile_space",
    "transfer_space",
]
