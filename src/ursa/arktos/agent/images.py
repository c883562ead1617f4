"""Fetch images: policy, and the back-off of pulls that fail.

ImageStatus is asked first. Policy Always compares with the registry only what came from one: an
image that was imported here (it has no repository digest) has no other origin, and asking a
registry that may not answer would cost every such pod its time-out. Names like `busybox` are
completed by the runtime.
Source: Kubernetes, pkg/kubelet/images/image_manager.go (reasons, messages, back-off).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ursa.arktos.agent import cri

PULL_BACKOFF_MIN_S: Final = 10.0
PULL_BACKOFF_MAX_S: Final = 300.0
PULLS_MAX: Final = 3  # at once on one node: more only share its line
ALWAYS, NEVER = "Always", "Never"

Report = Callable[[str, str], Awaitable[None]]  # reason, message of a Normal event


class ImageFault(Exception):
    """An image that a container cannot have; `reason` is its waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def ensure(
    runtime: cri.Runtime, reference: str, policy: str, pulls: asyncio.Semaphore, report: Report
) -> cri.Image:
    """Return the image, pulled if policy asks for it. ImageFault says why there is none."""
    present = await _status(runtime, reference)
    if present is not None and not (policy == ALWAYS and present.from_registry):
        await report("Pulled", f'Container image "{reference}" already present on machine')
        return present
    if policy == NEVER:
        message = f'Container image "{reference}" is not present with pull policy of Never'
        raise ImageFault("ErrImageNeverPull", message)
    await report("Pulling", f'Pulling image "{reference}"')
    try:
        async with pulls:
            await runtime.pull(reference)
    except cri.RuntimeRefused as refused:
        raise ImageFault("ErrImagePull", f'Failed to pull image "{reference}": {refused}') from None
    await report("Pulled", f'Successfully pulled image "{reference}"')
    fetched = await _status(runtime, reference)
    if fetched is None:
        raise ImageFault("ErrImagePull", f'image "{reference}" is not there after its pull')
    return fetched


async def _status(runtime: cri.Runtime, reference: str) -> cri.Image | None:
    try:
        return await runtime.image(reference)
    except cri.RuntimeRefused as refused:
        message = f'Failed to apply image name "{reference}": {refused}'
        raise ImageFault("InvalidImageName", message) from refused


def pull_backoff_s(failures: int) -> float:
    """Return the seconds to wait after the n-th failed pull in a row."""
    doublings = min(failures - 1, 10)  # 10 s * 2^10 is far over the bound
    return min(PULL_BACKOFF_MIN_S * 2.0**doublings, PULL_BACKOFF_MAX_S)
