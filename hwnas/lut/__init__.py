"""Tables as things that people keep, compare and share: where they lie, whether they can be right, what differs, in and out."""

from .check import Checked, Finding, check_table
from .diff import TableDiff, diff_tables
from .exchange import export_csv, export_folder, export_parquet
from .find import table_path
from .impact import Impact, impact
from .imports import Imported, import_csv, import_parquet, is_hwnas_parquet
from .merge import merge_tables
from .provenance import content_hash

__all__ = [
    "Checked",
    "Finding",
    "Impact",
    "Imported",
    "TableDiff",
    "check_table",
    "content_hash",
    "diff_tables",
    "export_csv",
    "export_folder",
    "export_parquet",
    "impact",
    "import_csv",
    "import_parquet",
    "is_hwnas_parquet",
    "merge_tables",
    "table_path",
]
