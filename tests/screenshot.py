"""Keep what a page looks like: ``python -m tests.screenshot PAGE.html docs/images/compare``, light and dark.

Needs a Chromium on the path; no test does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Pixels: all that fits beside each other, and down to the end of the plots.
WIDTH, HEIGHT = 1180, 1500

#: Blink's numbers of colour schemes. Source: Chromium, third_party/blink/public/mojom/css/preferred_color_scheme.mojom.
SCHEMES = {"": 1, "-dark": 0}


def main(page: str, stem: str) -> None:
    """Write ``STEM.png`` and ``STEM-dark.png``."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is on the path; Debian: apt install chromium")
    for suffix, scheme in SCHEMES.items():
        with tempfile.TemporaryDirectory() as profile:
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
            size = [f"--window-size={WIDTH},{HEIGHT}", f"--blink-settings=preferredColorScheme={scheme}"]
            shot = f"--screenshot={Path(f'{stem}{suffix}.png').resolve()}"
            subprocess.run([chromium, *flags, *size, shot, Path(page).resolve().as_uri()], check=True, timeout=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
