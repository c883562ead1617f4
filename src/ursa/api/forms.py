"""The forms in which objects are handed out, as the Accept header asks: JSON, YAML, Table rows,
metadata alone.

Source: Kubernetes API concepts, "Alternate representations of resources".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import msgspec
import yaml

from ursa.api.documents import list_head, media_type, parse, partial, wire
from ursa.api.items import Item
from ursa.api.message import JSON, Response
from ursa.base.errors import BadRequest, NotAcceptable
from ursa.kinds.registry import Resource
from ursa.kinds.tables import table

ACCEPTS_CACHED = 256
PIECE_BYTES = 128 << 10  # of a list, sent at once


class Form(StrEnum):
    OBJECT = "object"
    YAML = "yaml"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"


_AS = {"": Form.OBJECT, "Table": Form.TABLE}
_AS |= {"PartialObjectMetadata": Form.PARTIAL, "PartialObjectMetadataList": Form.PARTIAL}
_SERVED = "only the following media types are accepted: application/json, application/yaml"


@lru_cache(ACCEPTS_CACHED)
def negotiate(accept: str) -> Form:
    """Return the first form that an Accept header names and we have. Raises NotAcceptable."""
    if not accept.strip():
        return Form.OBJECT
    for part in accept.split(","):
        parameters = dict(_parameter(text) for text in part.split(";")[1:])
        if parameters.get("q") in ("0", "0.0") or parameters.get("v", "v1") != "v1":
            continue
        match media_type(part):
            case "application/json" | "application/*" | "*/*" as kind:
                form = _AS.get(parameters.get("as", "") if kind == JSON else "")
                if form is not None:
                    return form
            case "application/yaml":
                return Form.YAML
    raise NotAcceptable(_SERVED)


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip()


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns items of one resource into one form."""

    resource: Resource
    form: Form
    now_s: Callable[[], float]
    include: str = "Metadata"  # what of its object a table's row carries
    all_tenants: bool = False  # whether a table says whose its rows are

    def item(self, value: bytes, revision: int) -> bytes:
        """Return an object by itself, as JSON."""
        match self.form:
            case Form.TABLE:
                return self._table([parse(value, revision)], {"resourceVersion": str(revision)})
            case Form.PARTIAL:
                return partial(value, revision)
        return wire(value, revision)

    def bookmark(self, metadata: dict[str, object]) -> bytes:
        if self.form is Form.TABLE:
            return self._table([], metadata)
        kind, api_version = self.resource.kind, self.resource.api_version
        if self.form is Form.PARTIAL:
            kind, api_version = "PartialObjectMetadata", "meta.k8s.io/v1"
        return msgspec.json.encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})

    def listed(self, items: Iterable[Item], metadata: dict[str, object]) -> Iterator[bytes]:
        """Yield a list document in pieces of about PIECE_BYTES."""
        if self.form is Form.TABLE:
            yield self._table([parse(i.value, i.revision) for i in items], metadata)
            return
        if self.form is Form.PARTIAL:
            render = partial
            before = list_head("PartialObjectMetadataList", "meta.k8s.io/v1", metadata)
        else:
            render = wire
            before = list_head(f"{self.resource.kind}List", self.resource.api_version, metadata)
        held: list[bytes] = []
        size = 0
        for item in items:
            held.append(render(item.value, item.revision))
            size += len(item.value)
            if size >= PIECE_BYTES:
                yield before + b",".join(held)
                before, held, size = b",", [], 0
        yield (before if held or before != b"," else b"") + b",".join(held) + b"]}"

    def _table(self, docs: list[dict[str, object]], metadata: dict[str, object]) -> bytes:
        made = table(self.resource, docs, self.now_s(), self.include, all_tenants=self.all_tenants)
        return msgspec.json.encode(made | {"metadata": metadata})


def include_of(query: dict[str, str]) -> str:
    """Return a table's includeObject parameter. Raises BadRequest."""
    value = query.get("includeObject") or "Metadata"
    if value not in ("None", "Metadata", "Object"):
        raise BadRequest(f"includeObject={value} is none of None, Metadata, Object")
    return value


def answer(status: int, body: bytes, form: Form) -> Response:
    """Return JSON bytes as a response in a form; only YAML is another encoding."""
    if form is not Form.YAML:
        return Response(status, body)
    text = yaml.dump(msgspec.json.decode(body), Dumper=yaml.CSafeDumper, sort_keys=False)
    return Response(status, text.encode(), "application/yaml")
