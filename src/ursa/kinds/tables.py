"""Objects as the rows that kubectl prints: meta.k8s.io/v1 Table.

Source: Kubernetes API concepts, "Receiving resources as Tables".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from ursa.kinds.cells import CELLS, Cell
from ursa.kinds.columns import DEFAULT
from ursa.kinds.resource import Column, Resource

Document = dict[str, Any]

TENANT = Column("Tenant", ".metadata.tenant")
# What `kubectl wait` and `get -w` may read off a row without its object.
_POD_CONDITIONS = {
    "Succeeded": ("Succeeded", "The pod has completed successfully."),
    "Failed": ("Failed", "The pod failed."),
}


def table(
    resource: Resource,
    docs: Iterable[Document],
    now_s: float,
    include: str = "Metadata",
    *,
    all_tenants: bool = False,
) -> Document:
    """Return a Table of `docs` without list metadata.

    `include` says what of its object a row carries: None, Metadata or Object. With
    `all_tenants` the first column is the tenant.
    """
    columns = columns_of(resource, all_tenants=all_tenants)
    cells = [_cell(column.value, column.type) for column in columns]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [
            _row(resource, doc, [cell(doc, now_s) for cell in cells], include) for doc in docs
        ],
    }


def columns_of(resource: Resource, *, all_tenants: bool = False) -> tuple[Column, ...]:
    columns = resource.columns or DEFAULT
    return (TENANT, *columns) if all_tenants else columns


def _definition(column: Column) -> Document:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(resource: Resource, doc: Document, cells: list[Any], include: str) -> Document:
    row: Document = {"cells": cells}
    if resource.kind == "Pod":
        phase = doc.get("status", {}).get("phase", "")
        if phase in _POD_CONDITIONS:
            reason, message = _POD_CONDITIONS[phase]
            condition = {"type": "Completed", "status": "True"}
            row["conditions"] = [condition | {"reason": reason, "message": message}]
    if include == "Object":
        row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version} | doc
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": doc["metadata"],
        }
    return row


@cache
def _cell(value: str, type_: str) -> Cell:
    """Return the function that reads a column: of CELLS, or along a path `.spec.cidr`."""
    if not value.startswith("."):
        return CELLS[value]
    path = value[1:].split(".")
    absent = "" if type_ == "string" else None

    def cell(doc: Document, _now_s: float) -> Any:
        at: Any = doc
        for name in path:
            at = at.get(name) if isinstance(at, dict) else None
        return absent if at is None else at

    return cell
