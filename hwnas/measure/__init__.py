"""Measuring on a device: a plan, a worker that follows it, samples, and the loop that fills a table."""

from ..sample import Sample
from ..transports.transport import Local, Transport
from .connection import Worker
from .job import Job
from .measure import Report, measure, profile
from .metrics import ADDITIVE, metrics_of
from .plan import Plan
from .quietness import Quietness

__all__ = [
    "ADDITIVE",
    "Job",
    "Local",
    "Plan",
    "Quietness",
    "Report",
    "Sample",
    "Transport",
    "Worker",
    "measure",
    "metrics_of",
    "profile",
]
