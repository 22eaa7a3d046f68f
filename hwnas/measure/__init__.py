"""Measuring on a device: a plan, a worker that follows it, samples, and the loop that fills a table."""

from ..sample import Sample
from .connection import Local, Transport, Worker
from .job import Job
from .measure import Report, measure, profile
from .plan import Plan
from .quietness import Quietness

__all__ = ["Job", "Local", "Plan", "Quietness", "Report", "Sample", "Transport", "Worker", "measure", "profile"]
