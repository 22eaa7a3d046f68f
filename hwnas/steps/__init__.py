"""The steps from an experiment to certified files. Each works from files, can be resumed, and is a command of its own."""

from .deliver import deliver
from .derived import derived_winner
from .experiment import Experiment, load_experiment
from .health import health
from .profile import profile_devices
from .progress import Show, silent
from .retime import retime_devices
from .retrain import candidates, finalist, retrain_folder, retrain_winner
from .run_folder import RunFolder
from .search import Winner, search_target
from .summary import summarize
from .tails import time_tails
from .train import load_supernet, train_supernet

__all__ = [
    "Experiment",
    "RunFolder",
    "Show",
    "Winner",
    "deliver",
    "derived_winner",
    "health",
    "load_experiment",
    "load_supernet",
    "profile_devices",
    "retime_devices",
    "candidates",
    "finalist",
    "retrain_folder",
    "retrain_winner",
    "search_target",
    "silent",
    "summarize",
    "time_tails",
    "train_supernet",
]
