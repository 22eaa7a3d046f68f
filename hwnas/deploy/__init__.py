"""From a found architecture to a file that is proven on its device."""

from .certificate import Verdict, judge
from .files import FORMATS, write_files
from .timing import RULES, Rules, Timing, time_file

__all__ = ["FORMATS", "RULES", "Rules", "Timing", "Verdict", "judge", "time_file", "write_files"]
