"""What is known of an algorithm before it runs: its traits, and the settings it takes."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from inspect import signature
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import HwnasError, did_you_mean

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Traits:
    """How an algorithm is to be used. One that declares nothing is trained like SPOS: weights alone, for every device."""

    learns: bool = False  # an architecture, for ONE target: N devices mean N supernets
    coupled: bool = False  # weights and architecture are optimised together, or the architecture is searched for afterwards
    one_stage: bool = True  # the derived network may keep its inherited weights, or must be retrained
    share: bool | None = None  # how options hold weights: sliced from one (True), each its own (False), either (None)
    held_out: float = 0.0  # share of the training images that teach the architecture and not the weights (never the test set)
    summed: bool = False  # trained with all paths on, as a plain sum; evaluated by zeroing out
    epoch: str = "one pass over the training images"


def traits(declared: Traits) -> Callable[[F], F]:
    """Declares the traits of an algorithm: `@traits(Traits(learns=True, ...))` above its function."""

    def attach(algorithm: F) -> F:
        algorithm.traits = declared  # type: ignore[attr-defined]
        return algorithm

    return attach


def traits_of(algorithm: Callable[..., Any]) -> Traits:
    return getattr(algorithm, "traits", Traits())


def options_type(algorithm: Callable[..., Any]) -> type | None:
    """The dataclass that an algorithm takes beside its Run, `def fbnet(run: Run, options: FBNet)`; None if it takes no options."""
    if "options" not in signature(algorithm).parameters:
        return None
    kind = get_type_hints(algorithm).get("options")
    return kind if isinstance(kind, type) and is_dataclass(kind) else None


def parse_options(algorithm: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
    """An algorithm's options from a table of a file or a command line; None if it takes none.

    Raises HwnasError for an option it does not have, or a value of another type.
    """
    name, kind = algorithm.__name__, options_type(algorithm)
    if kind is None:
        if settings:
            raise HwnasError(f"train.options: {name} takes no options, {', '.join(settings)} cannot be set")
        return None
    return parse_fields(kind, settings, f"{name} option")


def parse_fields(kind: type[T], settings: Mapping[str, Any], what: str) -> T:
    """A dataclass from a table. Raises HwnasError that calls a field `what` for one that is unknown or of another type."""
    types_of = {f.name: get_type_hints(kind)[f.name] for f in fields(kind)}  # type: ignore[arg-type]
    for name, value in settings.items():
        if name not in types_of:
            raise did_you_mean(what, name, types_of)
        if not _fits(value, types_of[name]):
            declared = next(f.type for f in fields(kind) if f.name == name)  # type: ignore[arg-type]
            raise HwnasError(f"{what.split()[0]}.{name}: {value!r} is of type {type(value).__name__}, expected {declared}")
    return kind(**settings)


def one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raises HwnasError if a text option is none of the known words."""
    if value not in known:
        raise did_you_mean(what, value, known)


def at_least(what: str, options: object, **lowest: float) -> None:
    """Raises HwnasError if a field of options is below its lowest value: `at_least("fbnet", self, tau=0)`."""
    for name, low in lowest.items():
        if getattr(options, name) < low:
            raise HwnasError(f"{what}.{name}: {getattr(options, name)} is too small, at least {low:g}")


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_fits(value, k) for k in get_args(kind))
    if isinstance(value, bool):  # a bool is an int, too
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
