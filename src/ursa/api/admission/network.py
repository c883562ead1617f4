"""A tenant's network stays whole: subnets lie apart inside their VPC, and what is used stays.

Ports, and every status of the network, are the platform's to write: a tenant that could set
a VNI or a port's device could join another tenant's network.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from ursa.api.admission.plugin import CREATE, DELETE, Plugin, Review, forbidden
from ursa.api.objects import Document, Objects, served
from ursa.base.errors import Conflict, FieldError, Invalid
from ursa.kinds.vpc import DEFAULT_VPC, GROUP


class Network(Plugin):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._vpcs = served(GROUP, "vpcs")
        self._subnets = served(GROUP, "subnets")
        self._ports = served(GROUP, "ports")

    def validate(self, review: Review) -> None:
        group, plural = review.kind
        if group != GROUP:
            return
        _check_writer(review)
        if plural == "subnets" and review.operation == CREATE:
            self._check_place(review)
        elif review.operation == DELETE and plural in ("vpcs", "subnets"):
            self._check_unused(review)

    def _check_place(self, review: Review) -> None:
        spec, tenant = review.spec(), review.attributes.tenant
        name, prefix = spec.get("vpc", ""), IPv4Network(spec["cidr"])
        vpc = self._objects.get(self._vpcs, tenant, "", name)
        if vpc is None:
            raise _invalid(review, "spec.vpc", f'Not found: "{name}"', "FieldValueNotFound")
        outer = vpc["spec"]["cidr"]
        value = f'Invalid value: "{prefix}"'
        if not prefix.subnet_of(IPv4Network(outer)):
            raise _invalid(review, "spec.cidr", f'{value}: lies outside vpc "{name}" ({outer})')
        for other in self._objects.list(self._subnets, tenant):
            theirs = other["spec"]
            if theirs.get("vpc") == name and prefix.overlaps(IPv4Network(theirs["cidr"])):
                sibling = f'subnet "{other["metadata"]["name"]}" ({theirs["cidr"]})'
                raise _invalid(review, "spec.cidr", f'{value}: overlaps {sibling} of vpc "{name}"')

    def _check_unused(self, review: Review) -> None:
        field = review.resource.singular or review.resource.plural.removesuffix("s")
        if user := self._user(review, field):
            raise Conflict(
                f'{review.resource.group_resource} "{review.name}" is in use by {user}:'
                " delete what uses it first",
                details={"name": review.name, "group": GROUP, "kind": review.resource.plural},
            )

    def _user(self, review: Review, field: str) -> str:
        """Return what uses the VPC or subnet, for people to find, or ""."""
        tenant = review.attributes.tenant
        for port in self._objects.list(self._ports, tenant):
            if _placed_in(port, field) == review.name:
                metadata = port["metadata"]
                return f'port "{metadata["namespace"]}/{metadata["name"]}"'
        if field == "vpc":
            for subnet in self._objects.list(self._subnets, tenant):
                if subnet["spec"].get("vpc") == review.name:
                    return f'subnet "{subnet["metadata"]["name"]}"'
        return ""


def _placed_in(port: Document, field: str) -> str:
    """Return the VPC or subnet of a port; one that names no VPC is in `default`."""
    name: str = port["spec"].get(field, "")
    return name or (DEFAULT_VPC if field == "vpc" else "")


def _check_writer(review: Review) -> None:
    if review.is_by_system:
        return
    if review.resource.plural == "ports":
        raise forbidden(review, "ports are made by the platform, one for each nic of a pod")
    if review.attributes.subresource == "status":
        raise forbidden(review, "the status of a network is written by the platform")


def _invalid(review: Review, path: str, why: str, reason: str = "FieldValueInvalid") -> Invalid:
    return Invalid(review.resource.group_kind, review.name, [FieldError(path, why, reason)])
