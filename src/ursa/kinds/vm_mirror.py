"""How a virtual machine's pod looks to clients that know containers alone.

Kubernetes' clients count on a pod having containers: kubectl logs takes the first without
looking, the Python client refuses a pod that has none. So the API server writes one entry
into `spec.containers` that mirrors `spec.virtualMachine`: its name, image and resources, and
nothing that could run. It is derived, so it may come back in a PUT and is written anew.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

_WRITTEN = frozenset(
    (
        "name",
        "image",
        "imagePullPolicy",
        "resources",
        "terminationMessagePath",
        "terminationMessagePolicy",
    )
)


def is_mirror(containers: list[Document], machine: Document) -> bool:
    """Return whether `containers` could be the mirror of `machine`, of now or of before."""
    return len(containers) == 1 and (
        containers[0].get("name") == machine.get("name") and containers[0].keys() <= _WRITTEN
    )


def reflect(spec: Document) -> None:
    """Write the mirror, unless the user gave containers of their own: those are refused later."""
    machine = spec["virtualMachine"]
    if "containers" not in spec or is_mirror(spec["containers"], machine):
        spec["containers"] = [
            {
                "name": machine.get("name", ""),
                "image": machine.get("image", ""),
                "imagePullPolicy": machine["imagePullPolicy"],
                "resources": machine["resources"],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ]
