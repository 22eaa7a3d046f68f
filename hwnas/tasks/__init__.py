"""Tasks in more than one process: a named function, jobs that are JSON, results in any order, lost workers replaced."""

from .local import LocalPool
from .pool import MAX_DEATHS, Do, Pool, Tell, Work
from .workers import Workers

__all__ = ["MAX_DEATHS", "Do", "LocalPool", "Pool", "Tell", "Work", "Workers"]
