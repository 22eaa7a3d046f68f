"""Models as a user would write them, with choices of every kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hwnas.nn import InputChoice, LayerChoice, ValueChoice


def conv(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class ElasticKernel(nn.Module):
    """A convolution whose kernel is the centre of a 5 x 5, and a dropout behind it."""

    def __init__(self, channels: int):
        super().__init__()
        self.kernel, self.rate = ValueChoice([1, 3, 5], "kernel"), ValueChoice([0.0, 0.3], "rate")
        self.weight = nn.Parameter(0.1 * torch.randn(channels, channels, 5, 5))

    def forward(self, x):
        k = self.kernel()
        cut = (5 - k) // 2
        return F.dropout(F.conv2d(x, self.weight[..., cut : 5 - cut, cut : 5 - cut], padding=k // 2), self.rate(), self.training)


class Everything(nn.Module):
    """Nested choices, a slot that inputs 0 or 2 need, several picks, values inside and outside of units."""

    def __init__(self):
        super().__init__()
        self.slope = ValueChoice([0.1, 1.0], "slope")
        self.stem = conv(3, 8, 3)
        nested = nn.Sequential(LayerChoice([conv(8, 8, 1), conv(8, 8, 7)], key="inner"), nn.Conv2d(8, 8, 1))
        self.first = LayerChoice({"c3": conv(8, 8, 3), "c5": conv(8, 8, 5), "nested": nested}, key="first")
        self.before, self.between = conv(8, 8, 3), conv(8, 8, 1)
        self.second = LayerChoice({"id": nn.Identity(), "dw": nn.Conv2d(8, 8, 3, padding=1, groups=8)}, key="second", n_chosen=(1, 2))
        self.skip = InputChoice(3, (1, 2), key="skip")
        self.elastic = ElasticKernel(8)
        self.classify = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x) * self.slope()
        y = x + self.first(x)
        n, c, h, w = y.shape
        s = self.second(self.before(y))
        z = self.skip([F.relu(s), self.between(y), s + y])
        return self.classify(self.elastic(z).mean((2, 3)).view(n, -1))


class Denoiser(nn.Module):
    """Image to image: no class in sight; one of the branches reads two tensors."""

    def __init__(self):
        super().__init__()
        self.features = nn.ModuleList(
            LayerChoice({"3x3": conv(c, 8, 3), "5x5": conv(c, 8, 5), "1x1": conv(c, 8, 1)}, key=f"layer{i}")
            for i, c in enumerate((1, 8, 8))
        )
        self.join = LayerChoice({"add": Add(), "gate": Gate()}, key="join")
        self.out = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x):
        a = self.features[0](x)
        b = self.features[2](self.features[1](a))
        return x - self.out(self.join(a, b))


class Add(nn.Module):
    def forward(self, a, b):
        return a + b


class Gate(nn.Module):
    def forward(self, a, b):
        return a * torch.sigmoid(b)


class Features(nn.Module):
    """No images: (n, features) in, two layers of one shared key, a width that the next layer sees."""

    def __init__(self):
        super().__init__()
        self.width = ValueChoice([4, 8], "width")
        self.a = LayerChoice([nn.Linear(6, 6), nn.Identity()], key="both")
        self.b = LayerChoice([nn.Linear(6, 6), nn.Identity()], key="both")
        self.wide, self.narrow = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x))))
        w = self.width()
        x = torch.relu(F.linear(x, self.wide.weight[:w], self.wide.bias[:w]))
        return F.linear(x, self.narrow.weight[:, :w], self.narrow.bias)


MODELS = {
    "everything": (Everything, (2, 3, 10, 10)),
    "denoiser": (Denoiser, (2, 1, 12, 12)),
    "features": (Features, (2, 6)),
}


def make(name: str) -> tuple[nn.Module, torch.Tensor]:
    """(the model with lively BatchNorm statistics, an example input)."""
    torch.manual_seed(0)
    kind, shape = MODELS[name]
    model, g = kind().eval(), torch.Generator().manual_seed(1)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.3, generator=g)
            m.running_var.uniform_(0.5, 2, generator=g)
    return model, torch.randn(shape, generator=g)
