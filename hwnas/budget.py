"""Budget: what one device allows, as a person writes it: `onnx-cpu:latency=2ms,memory=4MB`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

from .cost.metrics import METRICS
from .errors import HwnasError, did_you_mean

_VALUE = re.compile(r"(?P<number>-?[0-9.]+(?:e-?[0-9]+)?)\s*(?P<unit>[a-zA-Z%]*)")


@dataclass(frozen=True)
class Limit:
    """The most a metric may be: in the metric's own unit, or as a share of its reachable range (0 = minimum)."""

    metric: str  # key of METRICS
    value: float
    relative: bool = False

    @property
    def text(self) -> str:
        return f"{100 * self.value:g}%" if self.relative else METRICS[self.metric].text(self.value)


@dataclass(frozen=True)
class Budget:
    """The limits of one device. `name` is how the budget is called in file names and tables."""

    device: str
    limits: tuple[Limit, ...]
    name: str

    @classmethod
    def parse(cls, text: str) -> list[Budget]:
        """`DEVICE:metric=value,...`: a value has a unit (`2ms`, `4MB`, `30M`) or is a share of the reachable range (`30%`).

        `latency=1ms|2ms` stands for one budget each. Raises HwnasError that names the device, metric and value.
        """
        device, colon, rest = text.partition(":")
        if not colon or not device or not rest:
            raise HwnasError(f"budget {text!r}: expected DEVICE:metric=value,... such as onnx-cpu:latency=2ms,memory=4MB")
        alternatives: list[list[tuple[str, Limit]]] = []
        for part in rest.split(","):
            name, equals, values = (p.strip() for p in part.partition("="))
            if name not in METRICS:
                raise did_you_mean(f"metric in budget {text!r}", name, METRICS)
            if not equals or any(name == found[0][1].metric for found in alternatives):
                raise HwnasError(f"budget {text!r}: {name} is given {'twice' if equals else 'no value'}")
            alternatives.append([(v.strip(), _limit(text, name, v.strip())) for v in values.split("|")])
        out = []
        for choice in product(*alternatives):
            out.append(cls(device, tuple(limit for _, limit in choice), ",".join(f"{x.metric}={t.replace(' ', '')}" for t, x in choice)))
        return out

    @property
    def text(self) -> str:
        return ", ".join(f"{x.metric} <= {x.text}" for x in self.limits)


def _limit(text: str, name: str, value: str) -> Limit:
    match, units = _VALUE.fullmatch(value), METRICS[name].units
    ways = f"write it as {' or '.join(f'2{u}' for u in units)}, or as 30% of the reachable range"
    if match is None:
        raise HwnasError(f"budget {text!r}: {name}={value} is not a value: {ways}")
    try:
        number, unit = float(match["number"]), match["unit"]
    except ValueError:
        raise HwnasError(f"budget {text!r}: {name}={value} is not a number: {ways}") from None
    if unit != "%" and unit not in units:
        raise HwnasError(f"budget {text!r}: {name}={value} has {'unknown unit ' + repr(unit) if unit else 'no unit'}: {ways}")
    if number <= 0 and not (unit == "%" and number == 0):
        raise HwnasError(f"budget {text!r}: {name}={value} is not above zero")
    if unit == "%":
        if number > 100:
            raise HwnasError(f"budget {text!r}: {name}={value} is above 100 % of the reachable range")
        return Limit(name, number / 100, relative=True)
    return Limit(name, number * units[unit])
