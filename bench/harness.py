"""What every benchmark prints: JSON lines of medians, and a last line about the machine."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

FSYNCS = 200


def emit(name: str, values: Sequence[float], unit: str, component: str = "") -> None:
    """Print one figure: the median of `values`, with their number and extremes."""
    line: dict[str, object] = {"name": name, "value": rounded(statistics.median(values))}
    line |= {"unit": unit, "n": len(values)}
    line |= {"min": rounded(min(values)), "max": rounded(max(values))}
    if component:
        line["component"] = component
    print(json.dumps(line), flush=True)


def measure(name: str, call: Callable[[], int], runs: int = 7) -> None:
    """Print how many things `call` does per CPU second; it returns how many it did."""
    call()
    rates = []
    for _ in range(runs):
        began_s = time.process_time()
        done = call()
        rates.append(done / (time.process_time() - began_s))
    emit(name, rates, "1/s")


def machine() -> None:
    """Print where the figures come from."""
    facts = {
        "name": "machine",
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "sqlite": sqlite3.sqlite_version,
        "uvloop": version("uvloop"),
        "msgspec": version("msgspec"),
        "fdatasync_us": rounded(fdatasync_us()),
        "commit": commit(),
    }
    print(json.dumps(facts), flush=True)


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def fdatasync_us() -> float:
    """Return the median time to make one more page of a file durable."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            file.flush()
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began_s) * 1e6)
    return statistics.median(times)


def commit() -> str:
    root = Path(__file__).parent
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"
