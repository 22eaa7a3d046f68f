"""hwnas: hardware-aware neural architecture search with device profiler plugins."""

__version__ = "0.1.0"
