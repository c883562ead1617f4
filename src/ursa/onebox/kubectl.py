"""Run a real kubectl, as a user would; patient while a component of ours is being restarted."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ursa.onebox.errors import UserError

PATIENCE_S = 20.0  # a killed component is back in 1 to 3 s, on a loaded machine in 10
RETRY_S = 0.3
# What kubectl says when nobody answered, or an answer broke off: not refusals.
_UNANSWERED = (
    "connection refused",
    "was refused",
    "connection reset",
    "EOF",
    "broken pipe",
    "Unable to connect",
    "http2:",
    "TLS handshake timeout",
    "(ServiceUnavailable)",
    "the server is currently unable",
    "error dialing backend",
    "unable to upgrade connection",
    "websocket: ",
)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with one kubeconfig. Its commands are repeated, so they must be idempotent."""

    program: Path
    config: Path

    def run(self, *words: str, stdin: str = "") -> str:
        """Return what kubectl printed. UserError with its words if it fails."""
        done = self.try_run(*words, stdin=stdin)
        if done.returncode != 0:
            raise UserError(f"kubectl {' '.join(words[:4])}: {done.stderr.strip()}")
        return done.stdout

    def try_run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Return how kubectl ended; tried again for PATIENCE_S while nobody answers."""
        command = [str(self.program), "--kubeconfig", str(self.config), *words]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
            unanswered = any(words in done.stderr for words in _UNANSWERED)
            if done.returncode == 0 or not unanswered or time.monotonic() > deadline:
                return done
            time.sleep(RETRY_S)

    def get(self, *words: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("get", "-o", "json", *words))
        return document
