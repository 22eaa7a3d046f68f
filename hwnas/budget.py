"""Budget: what one device allows, as a person writes it: `onnx-cpu:latency=2ms,memory=4MB`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

from .cost.bound import CONFIDENCE
from .cost.metrics import METRICS
from .errors import HwnasError, did_you_mean

_LIMIT = re.compile(r"(?P<value>[^@~]*)(?:@(?P<confidence>[^@~]*))?(?:~(?P<price>[^@~]*))?")
_VALUE = re.compile(r"(?P<number>-?[0-9.]+(?:e-?[0-9]+)?)\s*(?P<unit>[a-zA-Z%]*)")
_PRICE = re.compile(r"(?P<accuracy>[0-9.]+)\s*%\s*per\s*(?P<over>[0-9.]+)\s*%")
_LEAST, _MOST = 0.5, 0.999  # confidence


@dataclass(frozen=True)
class Price:
    """What it costs to be over a soft limit: `accuracy` (0.005 is half a percent point) for each `over` (0.1 is 10 %) of the limit."""

    accuracy: float
    over: float

    @property
    def text(self) -> str:
        return f"{100 * self.accuracy:g}%per{100 * self.over:g}%"


@dataclass(frozen=True)
class Limit:
    """The most a metric may be: in the metric's own unit, or as a share of its reachable range (0 = minimum).

    confidence: with what probability a measured metric has to keep it. price: None where nothing may be over it.
    """

    metric: str  # key of METRICS
    value: float
    relative: bool = False
    confidence: float = CONFIDENCE
    price: Price | None = None

    @property
    def value_text(self) -> str:
        return f"{100 * self.value:g}%" if self.relative else METRICS[self.metric].text(self.value)

    @property
    def text(self) -> str:
        """As `value_text`, with what is unusual: `2 ms @90%`, `2 ms ~0.5%per10%`."""
        confidence = f" @{100 * self.confidence:g}%" if self.confidence != CONFIDENCE else ""
        return self.value_text + confidence + (f" ~{self.price.text}" if self.price else "")


@dataclass(frozen=True)
class Budget:
    """The limits of one device. `name` is how the budget is called in file names and tables."""

    device: str
    limits: tuple[Limit, ...]
    name: str

    @classmethod
    def parse(cls, text: str) -> list[Budget]:
        """`DEVICE:metric=value,...`: a value has a unit (`2ms`, `4MB`, `30M`) or is a share of the reachable range (`30%`).

        `latency=1ms|2ms` stands for one budget each. `2ms@90%`: kept with a probability of 90 %, not 95. `2ms~0.5%per10%`: a soft limit,
        each 10 % over it cost half a percent point of accuracy. Raises HwnasError that names the device, metric and value.
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

    @property
    def confidences(self) -> dict[str, float]:
        """Field -> with what probability its limit has to be kept."""
        return {METRICS[x.metric].field: x.confidence for x in self.limits if METRICS[x.metric].measured}


def _limit(text: str, name: str, written: str) -> Limit:
    whole = _LIMIT.fullmatch(written)
    if whole is None:
        raise HwnasError(f"budget {text!r}: {name}={written}: write a limit as 2ms, 2ms@90%, 2ms~0.5%per10% or 2ms@90%~0.5%per10%")
    value, relative = _value(text, name, whole["value"].strip())
    confidence = CONFIDENCE if whole["confidence"] is None else _confidence(text, name, whole["confidence"].strip())
    price = None if whole["price"] is None else _price(text, name, whole["price"].strip())
    return Limit(name, value, relative, confidence, price)


def _value(text: str, name: str, value: str) -> tuple[float, bool]:
    """(value in the field's unit or as a share, whether it is a share)."""
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
        return number / 100, True
    return number * units[unit], False


def _confidence(text: str, name: str, written: str) -> float:
    if not METRICS[name].measured:
        raise HwnasError(f"budget {text!r}: {name} is counted, not measured, and is kept for certain: leave out @{written}")
    match = _VALUE.fullmatch(written)
    try:
        share = float(match["number"]) / 100 if match and match["unit"] == "%" else -1.0
    except ValueError:
        share = -1.0
    if not _LEAST <= share <= _MOST:
        raise HwnasError(f"budget {text!r}: {name}: @{written} is no probability from {100 * _LEAST:g}% to {100 * _MOST:g}%, such as @90%")
    return share


def _price(text: str, name: str, written: str) -> Price:
    match = _PRICE.fullmatch(written)
    try:
        accuracy, over = (float(match["accuracy"]) / 100, float(match["over"]) / 100) if match else (0.0, 0.0)
    except ValueError:
        accuracy = over = 0.0
    if not (accuracy > 0 and over > 0):
        wanted = "a soft limit names what being over it costs, such as ~0.5%per10%: 0.5 % of accuracy for each 10 % over"
        raise HwnasError(f"budget {text!r}: {name}: ~{written} is no price: {wanted}")
    return Price(accuracy, over)
