"""On what machine a comparison was made: what a reader of its figures has to know, and nothing that names its owner."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: What differs from machine to machine and moves the figures.
PACKAGES = ("taskbridge", "celery", "kombu", "dramatiq", "redis", "boto3", "amqp")


def machine() -> dict[str, str]:
    """Return what is known of it, by name."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{memory_mb / 1024:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
    }


def _processor() -> str:
    """Its name, which only Linux tells in full. Source: proc(5), ``/proc/cpuinfo``."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
