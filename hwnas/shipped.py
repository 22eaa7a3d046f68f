"""Where a device's table lies: in the user's own folder, else among those that come with hwnas, which are only read."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
# In a wheel the tables lie in the package, in a checkout in lut/shipped: apart from lut/, where commands that run there put the user's own.
SHIPPED = next((p for p in (_PACKAGE / "shipped", _PACKAGE.parent / "lut/shipped") if p.is_dir()), _PACKAGE / "shipped")


def table_folder(lut_dir: Path, device: str, shipped: Path = SHIPPED) -> Path:
    """`lut_dir/<device>` if it is there or nowhere, else the shipped folder of that name.

    Only what reads a table asks here. Measuring always writes to lut_dir, so a shipped table blocks nobody; and since shipped
    tables are named after their machine (`xeon-onnx`), never after a built-in device (`onnx-cpu`), none is taken for one's own.
    """
    own = lut_dir / device
    return shipped / device if not own.exists() and (shipped / device / "device.toml").exists() else own


def device_names(lut_dir: Path, shipped: Path = SHIPPED) -> dict[str, Path]:
    """Name -> folder of every device with a device.toml; one's own before shipped ones of the same name."""
    found = {p.parent.name: p.parent for folder in (shipped, lut_dir) for p in sorted(folder.glob("*/device.toml"))}
    return dict(sorted(found.items()))
