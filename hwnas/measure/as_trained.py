"""as_trained: a fresh module, with the biases and statistics that training would have left."""

from __future__ import annotations

import torch
from torch import nn

WEIGHTS = "as trained"  # in fingerprints: tables made before this were measured with fresh normalisation layers


@torch.no_grad()
def as_trained(module: nn.Module) -> nn.Module:
    """Gives normalisation layers that are as they were made statistics, weights and biases, in place; returns the module.

    A fresh BatchNorm folds into a bias of zero, and runtimes leave out what adds nothing, which a trained network's file has to do: such
    networks took 6 % (OpenVINO), 8 % (in int8) and 3 % (ONNX Runtime) longer. Draws from torch's generator. What has been trained stays.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None and not part.running_mean.any():
            part.running_mean.normal_(0, 0.1)
            if part.running_var is not None:
                part.running_var.uniform_(0.5, 1.5)
        bias, weight = getattr(part, "bias", None), getattr(part, "weight", None)
        if isinstance(bias, nn.Parameter) and not bias.any():
            bias.normal_(0, 0.1)
        if isinstance(weight, nn.Parameter) and weight.dim() == 1 and (weight == 1).all():
            weight.uniform_(0.5, 1.5)
    return module
