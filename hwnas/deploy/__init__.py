"""From a found architecture to a file that is proven on its device."""

from .accuracy import file_accuracy, outputs_here, outputs_of, tested_on
from .audit import Audit, Finding, audit
from .bundle import Bundle, write_bundle
from .calibration import calibration_images
from .certificate import Verdict, counts, judge, judge_limits
from .files import FORMATS, write_files
from .layer_errors import MAX_DROP, layer_errors
from .timing import RULES, Rules, Timing, time_file
from .variants import KINDS, write_variants
from .verify import Check, verify

__all__ = [
    "FORMATS",
    "KINDS",
    "MAX_DROP",
    "RULES",
    "Audit",
    "Bundle",
    "Check",
    "Finding",
    "Rules",
    "Timing",
    "Verdict",
    "audit",
    "calibration_images",
    "counts",
    "file_accuracy",
    "judge",
    "judge_limits",
    "layer_errors",
    "outputs_here",
    "outputs_of",
    "tested_on",
    "time_file",
    "verify",
    "write_bundle",
    "write_files",
    "write_variants",
]
