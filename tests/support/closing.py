"""A pytest plugin: close the output with the plain line `N passed, N failed, N skipped`."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    counts = {key: len(reporter.stats.get(key, [])) for key in ("passed", "failed", "skipped")}
    failed = counts["failed"] + len(reporter.stats.get("error", []))
    print(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped", flush=True)
