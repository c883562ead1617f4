"""Rules for where a pod may run: selectors, affinity, tolerations, spread; and for taints.

Source: Kubernetes, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from ursa.kinds import syntax
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    invalid,
    one_of,
    required,
    unique,
    unsupported,
)
from ursa.kinds.metadata_rules import label_faults, selector_faults

EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")


def placement_faults(path: str, spec: Document) -> Faults:
    yield from label_faults(f"{path}.nodeSelector", spec.get("nodeSelector", {}))
    yield from tolerations_faults(f"{path}.tolerations", spec.get("tolerations", ()))
    affinity = spec.get("affinity", {})
    if "nodeAffinity" in affinity:
        yield from _node_affinity(f"{path}.affinity.nodeAffinity", affinity["nodeAffinity"])
    for side in ("podAffinity", "podAntiAffinity"):
        if side in affinity:
            yield from _pod_affinity(f"{path}.affinity.{side}", affinity[side])
    here = f"{path}.topologySpreadConstraints"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        yield from _spread(f"{here}[{index}]", constraint)


def tolerations_faults(path: str, tolerations: list[Document]) -> Faults:
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        key, operator = toleration.get("key", ""), toleration.get("operator", "")
        if key:
            yield from each_invalid(f"{here}.key", key, syntax.qualified_name(key))
        elif operator != "Exists":
            detail = "operator must be Exists when `key` is empty, which means "
            yield invalid(f"{here}.operator", operator, detail + '"match all values and all keys"')
        if operator == "Exists" and toleration.get("value"):
            detail = "value must be empty when `operator` is 'Exists'"
            yield invalid(f"{here}.operator", toleration, detail)
        elif operator not in ("", "Equal", "Exists"):
            yield unsupported(f"{here}.operator", operator, ["Equal", "Exists"])
        effect = toleration.get("effect", "")
        if effect and effect not in EFFECTS:
            yield unsupported(f"{here}.effect", effect, EFFECTS)
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid(f"{here}.effect", effect, detail)


def taints_faults(path: str, taints: list[Document]) -> Faults:
    for index, taint in enumerate(taints):
        here = f"{path}[{index}]"
        key, value = taint.get("key", ""), taint.get("value", "")
        yield from each_invalid(f"{here}.key", key, syntax.qualified_name(key))
        yield from each_invalid(f"{here}.value", value, syntax.label_value(value))
        yield from one_of(f"{here}.effect", taint.get("effect"), EFFECTS)
    yield from unique(
        (f"{path}[{index}]", f"{taint.get('key')}:{taint.get('effect')}")
        for index, taint in enumerate(taints)
    )


def _node_affinity(path: str, affinity: Document) -> Faults:
    if _REQUIRED in affinity:
        here = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        terms = affinity[_REQUIRED].get("nodeSelectorTerms", [])
        if not terms:
            yield required(here, "must have at least one node selector term")
        for index, term in enumerate(terms):
            yield from _node_term(f"{here}[{index}]", term)
    for index, weighted in enumerate(affinity.get(_PREFERRED, ())):
        here = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(here, weighted)
        yield from _node_term(f"{here}.preference", weighted.get("preference", {}))


def _node_term(path: str, term: Document) -> Faults:
    for index, requirement in enumerate(term.get("matchExpressions", ())):
        here = f"{path}.matchExpressions[{index}]"
        key = requirement.get("key", "")
        operator, values = requirement.get("operator", ""), requirement.get("values", [])
        yield from each_invalid(f"{here}.key", key, syntax.qualified_name(key))
        if operator not in _OPERATORS:
            yield invalid(f"{here}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            yield required(f"{here}.values", detail)
        elif operator in ("Gt", "Lt") and len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield required(f"{here}.values", detail)
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield invalid(f"{here}.values", values, detail)
    for index, requirement in enumerate(term.get("matchFields", ())):
        here = f"{path}.matchFields[{index}]"
        if requirement.get("key") != "metadata.name":
            detail = "not a valid field selector key"
            yield invalid(f"{here}.key", requirement.get("key", ""), detail)
        if requirement.get("operator") not in ("In", "NotIn"):
            detail = "not a valid selector operator"
            yield invalid(f"{here}.operator", requirement.get("operator", ""), detail)
        elif len(requirement.get("values", ())) != 1:
            detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field "
            yield required(f"{here}.values", detail + "selector")


def _pod_affinity(path: str, affinity: Document) -> Faults:
    for index, term in enumerate(affinity.get(_REQUIRED, ())):
        yield from _pod_term(f"{path}.{_REQUIRED}[{index}]", term)
    for index, weighted in enumerate(affinity.get(_PREFERRED, ())):
        here = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(here, weighted)
        yield from _pod_term(f"{here}.podAffinityTerm", weighted.get("podAffinityTerm", {}))


def _pod_term(path: str, term: Document) -> Faults:
    yield from _topology_key(path, term)
    for field in ("labelSelector", "namespaceSelector"):
        if field in term:
            yield from selector_faults(f"{path}.{field}", term[field])
    for index, namespace in enumerate(term.get("namespaces", ())):
        yield from each_invalid(
            f"{path}.namespaces[{index}]", namespace, syntax.dns_label(namespace)
        )


def _weight(path: str, weighted: Document) -> Faults:
    if not 1 <= weighted.get("weight", 0) <= 100:
        yield invalid(f"{path}.weight", weighted.get("weight", 0), "must be in the range 1-100")


def _topology_key(path: str, term: Document) -> Faults:
    key = term.get("topologyKey", "")
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    else:
        yield from each_invalid(f"{path}.topologyKey", key, syntax.qualified_name(key))


def _spread(path: str, constraint: Document) -> Faults:
    if constraint.get("maxSkew", 0) <= 0:
        detail = "must be greater than zero"
        yield invalid(f"{path}.maxSkew", constraint.get("maxSkew", 0), detail)
    yield from _topology_key(path, constraint)
    choices = ("DoNotSchedule", "ScheduleAnyway")
    yield from one_of(f"{path}.whenUnsatisfiable", constraint.get("whenUnsatisfiable"), choices)
    if "labelSelector" in constraint:
        yield from selector_faults(f"{path}.labelSelector", constraint["labelSelector"])
