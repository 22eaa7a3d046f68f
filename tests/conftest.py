"""What all tests share."""

import torch

torch.set_num_threads(1)  # the networks here are small, and OpenMP threads that wait for a busy core can be 30 times slower
