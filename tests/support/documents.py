"""Documents as clients send them, and the way of one to the store, for tests of kinds."""

import copy

from ursa.kinds import defaults, schema, strategy, validation
from ursa.kinds.registry import RESOURCES

BY_KIND = {resource.kind: resource for resource in RESOURCES}

CONTAINER = {"name": "c", "image": "busybox"}


def merged(doc, changes):
    """Return `doc` with `changes` merged in as by a merge patch; None removes."""
    made = copy.deepcopy(doc)
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict) and isinstance(made.get(key), dict):
            made[key] = merged(made[key], value)
        else:
            made[key] = copy.deepcopy(value)
    return made


def pod(**spec):
    doc = {
        "metadata": {"name": "web", "namespace": "dev", "tenant": "acme"},
        "spec": {"containers": [CONTAINER]},
    }
    return merged(doc, {"spec": spec})


def vm_pod(**machine):
    doc = {
        "metadata": {"name": "vm", "namespace": "dev", "tenant": "acme"},
        "spec": {"virtualMachine": {"name": "vm", "image": "tiny"}},
    }
    return merged(doc, {"spec": {"virtualMachine": machine}})


def deployment(**spec):
    doc = {
        "metadata": {"name": "web", "namespace": "dev", "tenant": "acme"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [CONTAINER]},
            },
        },
    }
    return merged(doc, {"spec": spec})


def service(**spec):
    doc = {
        "metadata": {"name": "web", "namespace": "dev", "tenant": "acme"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}},
    }
    return merged(doc, {"spec": spec})


def named(name="x", **fields):
    return {"metadata": {"name": name, "namespace": "dev", "tenant": "acme"}, **fields}


def stored(kind, doc):
    """Return what the store would hold of a created document."""
    resource, made = BY_KIND[kind], copy.deepcopy(doc)
    schema.conform(resource, made)
    defaults.default(resource, made)
    strategy.prepare_create(resource, made)
    return made


def faults(kind, doc, old=None):
    """Return path: message for each fault of a document on its way to the store."""
    made = stored(kind, doc)
    found = validation.validate(BY_KIND[kind], made, None if old is None else stored(kind, old))
    return [f"{fault.path}: {fault.message}" for fault in found]
