"""From a table of measured blocks to the latency of any network of the space, with a bound."""

from .block_predictor import BlockPredictor
from .calibration import Calibration
from .choose import choose_blocks, choose_networks
from .device_model import calibrate, device_model, profile_space
from .drift import Drift, retime
from .fidelity import Fidelity
from .networks import network_jobs, network_key
from .searched import searched_networks
from .tails import Tails, measure_tails
from .transfer import Transfer
from .transfer_space import transfer_space
from .transferred import Transferred
from .trust import Trust, find_trust

__all__ = [
    "BlockPredictor",
    "Calibration",
    "Drift",
    "Fidelity",
    "Tails",
    "Transfer",
    "Transferred",
    "Trust",
    "calibrate",
    "choose_blocks",
    "choose_networks",
    "device_model",
    "find_trust",
    "measure_tails",
    "network_jobs",
    "network_key",
    "profile_space",
    "retime",
    "searched_networks",
    "transfer_space",
]
