"""The process: its configuration, its ready file, and an end that a signal asks for."""

import asyncio
import json
import signal
import sys

import pytest

from apiserver import identity, serving
from ursa.base.config import ConfigError
from ursa.cmd.scheduler import main


async def test_it_says_when_it_is_ready_and_ends_when_it_is_told(tmp_path):
    ready_file = tmp_path / "ready"
    ready_file.touch()  # of a run that was killed
    tls = identity("system:kube-scheduler")
    async with serving() as api:
        config = {
            "name": "scheduler",
            "ready_file": str(ready_file),
            "api_url": api.url,
            "tls": {"ca": tls.ca, "cert": tls.cert, "key": tls.key},
        }
        (tmp_path / "scheduler.json").write_text(json.dumps(config))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ursa", "scheduler"),
            *("--config", str(tmp_path / "scheduler.json")),
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while not (said := await process.stderr.readline()).startswith(b"{"):
                assert said, "the scheduler ended"
            assert json.loads(said)["message"] == "ready"
        assert ready_file.exists()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


def test_a_faulty_configuration_is_named(tmp_path):
    (tmp_path / "scheduler.json").write_text('{"name": "scheduler", "url": "x"}')
    with pytest.raises(ConfigError, match=r"scheduler\.json"):
        main(["--config", str(tmp_path / "scheduler.json")])
