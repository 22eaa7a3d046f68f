"""The one exception a user is meant to read."""

from __future__ import annotations


class HwnasError(Exception):
    """A mistake the user can mend.

    The message is one line that names the field, the value and the way out. The command line prints it and
    exits with code 2; a library caller catches it like any other exception.
    """


def did_you_mean(what: str, name: object, known: object, way_out: str = "") -> HwnasError:
    """An error for a name that is none of the known ones: `unknown device 'cpux': known are cpu, onnx-cpu`.

    what: the field, e.g. "device"; known: the names that would do; way_out: a last sentence, or nothing.
    """
    from difflib import get_close_matches

    names = [str(k) for k in known]  # type: ignore[attr-defined]
    near = get_close_matches(str(name), names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return HwnasError(f"unknown {what} {str(name)!r}: {hint}known are {', '.join(names) or 'none'}. {way_out}".strip())
