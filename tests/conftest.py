"""What all tests share."""

import os
import tempfile

import torch

# How this user reaches devices is no business of the tests: a folder that nothing makes.
os.environ["XDG_CONFIG_HOME"] = os.path.join(tempfile.gettempdir(), "hwnas-tests-without-configuration")

torch.set_num_threads(1)  # the networks here are small, and OpenMP threads that wait for a busy core can be 30 times slower
