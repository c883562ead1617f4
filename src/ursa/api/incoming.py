"""A document on its way in: decoded, held against its URL and its schema, stamped.

Source: Kubernetes API conventions, "Metadata"; KEP-2885 (fieldValidation); reference of Arktos
1.6 (metadata.tenant).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ursa.api.call import Call
from ursa.api.documents import Document, decode_object, duplicates
from ursa.base.clock import rfc3339
from ursa.base.errors import BadRequest
from ursa.kinds import schema
from ursa.kinds.part import Scope
from ursa.kinds.registry import Resource

GENERATED_PREFIX_MAX = 58  # characters of generateName that are kept; 5 are added, 63 in all
WARNINGS_MAX = 64  # unknown fields that are named one by one
OWN_METADATA = ("resourceVersion", "selfLink", "managedFields")  # nothing of a new object's


class Ids(Protocol):
    """Chance, passed in so that a simulation can repeat it."""

    def uid(self) -> str: ...

    def random_suffix(self) -> str: ...


class Incoming(NamedTuple):
    doc: Document
    warnings: list[str]


def received(call: Call) -> Incoming:
    """Return the request's document. Raises BadRequest for what cannot be read as the kind."""
    body, content_type = call.request.body, call.request.headers.get("content-type", "")
    if not body:
        raise BadRequest("the request has no body: it must be the object")
    doc = decode_object(body, content_type)
    repeated = duplicates(body) if _validation(call) == "Strict" else []
    return Incoming(doc, checked(call, doc, repeated))


def checked(call: Call, doc: Document, repeated: list[str] | None = None) -> list[str]:
    """Bring a document to the form of its kind and drop what that does not know.

    Returns warnings. Raises BadRequest for a wrong type, and for an unknown field if the
    request's fieldValidation is Strict.
    """
    resource = call.resource
    check_kind(resource, doc)
    texts = [f'duplicate field "{name}"' for name in repeated or ()]
    texts += [f'unknown field "{path}"' for path in schema.conform(resource, doc)]
    doc.setdefault("metadata", {})
    validation = _validation(call) if texts else "Ignore"
    if validation == "Strict":
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(texts)}"
        )
    return texts[:WARNINGS_MAX] if validation == "Warn" else []


def check_kind(resource: Resource, doc: Document) -> None:
    """Fill in apiVersion and kind. Raises BadRequest if they are another kind's."""
    for name, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        given = doc.setdefault(name, expected)
        if given != expected:
            raise BadRequest(
                f"the {name} in the data ({given}) does not match the expected {name} ({expected})"
            )


def _validation(call: Call) -> str:
    value = call.request.query.get("fieldValidation") or "Warn"
    if value not in ("Ignore", "Warn", "Strict"):
        raise BadRequest(f'fieldValidation "{value}" is none of Ignore, Warn, Strict')
    return value


def check_place(call: Call, doc: Document) -> None:
    """Fill in namespace and tenant from the URL. Raises BadRequest if they are others."""
    metadata = doc["metadata"]
    scope = call.resource.scope
    for name, expected, is_kept in (
        ("namespace", call.namespace, scope is Scope.NAMESPACE),
        ("tenant", call.tenant, scope is not Scope.CLUSTER),
    ):
        if not is_kept:
            metadata.pop(name, None)
        elif metadata.get(name) not in (None, "", expected):
            raise BadRequest(
                f"the {name} of the provided object does not match the {name} sent on the request"
            )
        else:
            metadata[name] = expected


def check_name(call: Call, doc: Document) -> None:
    """Fill in the name from the URL. Raises BadRequest if it is another."""
    given = doc["metadata"].setdefault("name", call.name)
    if given != call.name:
        raise BadRequest(
            f"the name of the object ({given}) does not match the name on the URL ({call.name})"
        )


def stamp_new(call: Call, doc: Document, ids: Ids, now_s: float) -> None:
    """Give a new object its name, place, uid and time of creation."""
    metadata = doc["metadata"]
    check_place(call, doc)
    if metadata.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and metadata.get("generateName"):
        prefix = metadata["generateName"][:GENERATED_PREFIX_MAX]
        metadata["name"] = prefix + ids.random_suffix()
    if not metadata.get("name"):
        raise BadRequest("metadata.name or metadata.generateName is required")
    for name in (*OWN_METADATA, "deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(name, None)
    metadata["uid"] = ids.uid()
    metadata["creationTimestamp"] = rfc3339(now_s)
