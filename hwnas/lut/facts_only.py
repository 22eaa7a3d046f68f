"""facts_only: what may be shared of a table. Addresses, paths and names of people or machines stay at home."""

from __future__ import annotations

import re
from typing import Any

# Keys that a third party's device side may put into its facts, and that say who or where rather than what.
PRIVATE = {"hostname", "user", "username", "serial", "address", "transport", "command", "executable", "cwd", "home", "ip", "mac_address"}
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:|~\w*)?(?:[\\/][\w.@+~-]+)+[\\/]([\w.@+~-]+)")
_ADDRESS = re.compile(r"\b\w+://\S+|\b[\w.+-]+@[\w.-]+\w|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\d.])")


def facts_only(value: Any) -> Any:
    """The same with absolute paths cut to their last part, addresses replaced by `ADDRESS`, private keys left out."""
    if isinstance(value, dict):
        return {k: facts_only(v) for k, v in value.items() if str(k).lower() not in PRIVATE}
    if isinstance(value, list | tuple):
        return [facts_only(v) for v in value]
    return _ADDRESS.sub("ADDRESS", _PATH.sub(r"\1", value)) if isinstance(value, str) else value


def is_private(value: Any) -> bool:
    """Whether anything in it would not be shared as it stands."""
    return bool(facts_only(value) != value)
