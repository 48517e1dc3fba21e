"""A real Prometheus for tests, its ``promtool``, and a scrape of one's own.

Both are those on the path; else those of Debian's package, unpacked below ``build`` without being installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from .servers import HOST, Process, missing

UNPACKED = Path(__file__).parent.parent / "build" / "prometheus"

#: How long the package may take to come, seconds.
FETCH_S = 120.0


def some_prometheus() -> str:
    """Return a server, or skip."""
    return _some("prometheus")


def promtool(*words: str, folder: Path) -> str:
    """Run it in a folder; returns what it says, and fails with that where it finds a fault."""
    ran = subprocess.run(
        [_some("promtool"), *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    return ran.stdout


class Prometheus(Process):
    """Scrapes addresses twice a second.

    Args:
        targets: ``host:port`` of each.
        rules: the text of a file of rules, evaluated twice a second.
    """

    def __init__(self, *targets: str, rules: str = "") -> None:
        super().__init__(some_prometheus())
        self._targets = targets
        (self.directory / "rules.yml").write_text(rules)

    def config(self) -> list[str]:
        return [
            "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}",
            "rule_files: [rules.yml]",
            f"scrape_configs: [{{job_name: taskbridge, static_configs: [{{targets: {json.dumps(self._targets)}}}]}}]",
        ]

    def named(self, config: Path) -> list[str]:
        return [f"--config.file={config}"]

    def arguments(self) -> list[str]:
        return [f"--storage.tsdb.path={self.directory / 'data'}", f"--web.listen-address={HOST}:{self.port}"]

    def answers(self) -> bool:
        with suppress(URLError, OSError):
            return urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=5).status == 200
        return False

    def ask(self, query: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return what an instant query finds, by labels."""
        said = self._get(f"query?{urlencode({'query': query})}")
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in said["result"]}

    def firing(self) -> list[dict[str, Any]]:
        """Return the alerts that fire, with labels and annotations."""
        return [one for one in self._get("alerts")["alerts"] if one["state"] == "firing"]

    def _get(self, path: str) -> Any:
        with urlopen(f"http://{HOST}:{self.port}/api/v1/{path}", timeout=30) as answer:
            said: Any = json.load(answer)
        assert "success" == said["status"], said
        return said["data"]


class Scraped:
    """What an address said at one moment."""

    def __init__(self, address: str, seconds: float = 30) -> None:
        with urlopen(f"http://{address}/metrics", timeout=seconds) as answer:
            self.families: list[Metric] = list(text_string_to_metric_families(answer.read().decode()))

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; 0 where there are none."""
        return sum(
            one.value
            for family in self.families
            for one in family.samples
            if one.name == name and labels.items() <= one.labels.items()
        )

    def labels(self, *names: str) -> dict[str, set[str]]:
        """The names of all samples with those of their labels; only those that begin with one of these."""
        found: dict[str, set[str]] = {}
        for family in self.families:
            for one in family.samples:
                if one.name.startswith(names):
                    found.setdefault(one.name, set()).update(one.labels)
        return found


def _some(name: str) -> str:
    return shutil.which(name) or _unpacked(name) or missing(f"{name}, or Debian's package of prometheus,")


def _unpacked(name: str) -> str | None:
    binary = UNPACKED / "usr" / "bin" / name
    if not binary.exists() and shutil.which("apt-get") and shutil.which("dpkg"):
        UNPACKED.parent.mkdir(exist_ok=True)
        with suppress(subprocess.SubprocessError, StopIteration, OSError):
            _unpack()
    return str(binary) if os.access(binary, os.X_OK) else None


def _unpack() -> None:
    """Unpack it beside, and move it there at once: tests may run in several processes."""
    with tempfile.TemporaryDirectory(dir=UNPACKED.parent) as folder:
        _run(folder, "apt-get", "download", "prometheus")
        package = next(Path(folder).glob("prometheus_*.deb"))
        _run(folder, "dpkg", "-x", package.name, "all")
        (Path(folder) / "all").rename(UNPACKED)


def _run(folder: str, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH_S)
