"""A run as one HTML file that anybody can open: verdicts first, then why."""

from .page import Written, write_report

__all__ = ["Written", "write_report"]
