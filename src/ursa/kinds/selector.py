"""Label selectors on plain documents: what part.LabelSelector is for typed views."""

from __future__ import annotations

from typing import Any

import msgspec

from ursa.kinds.part import LabelSelector


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Return whether `labels` satisfy a valid metav1.LabelSelector document."""
    return msgspec.convert(selector, LabelSelector).matches(labels)


def text(selector: dict[str, Any]) -> str:
    """Return the selector as kubectl prints it: `app=web,tier in (a,b)`."""
    parts = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for requirement in selector.get("matchExpressions", ()):
        key, values = requirement["key"], ",".join(sorted(requirement.get("values", ())))
        match requirement["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts) or "<none>"
