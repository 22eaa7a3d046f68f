"""A picture of a run's report for the documentation: the top of the page, as Chromium shows it.

    python tools/shoot_report.py runs/fashion-mnist docs/report.png

Needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser  # noqa: E402  (the tests' own driver of a real browser)

from hwnas.report import write_report  # noqa: E402
from hwnas.steps import RunFolder  # noqa: E402

COLOURS = 96  # flat colours: a third of the bytes, and nothing that the eye misses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("png", type=Path)
    parser.add_argument("--lut", type=Path, default=Path("lut"))
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=2100, help="so much of the page from its top, px")
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(RunFolder.open(asked.run, asked.lut), Path(folder) / "report.html").path
        browser = Browser(Path(folder) / "profile")
        try:
            browser.open(page.resolve().as_uri(), asked.width, asked.height, asked.dark)
            browser.wait("document.documentElement.dataset.charts == 'drawn'")
            browser.run("await new Promise((done) => setTimeout(done, 500))")
            browser.screenshot(asked.png)
        finally:
            browser.close()
    with Image.open(asked.png) as shot:
        shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(asked.png, optimize=True)
    print(f"{asked.png}: {asked.png.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
