"""One line a rule of roles and bindings."""

import pytest

from documents import faults, named

ROLE_REF = {"kind": "Role", "name": "r"}
GROUP = "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("kind", "doc", "fault"),
    [
        (
            "Role",
            named(rules=[{"apiGroups": [""], "resources": ["pods"]}]),
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            "Role",
            named(rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"]}]),
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to '
            "non-resource URLs",
        ),
        (
            "ClusterRole",
            named(rules=[{"verbs": ["get"], "resources": ["pods"]}]),
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        ),
        (
            "ClusterRoleBinding",
            named(roleRef=ROLE_REF),
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        ),
        ("RoleBinding", named(roleRef={"kind": "Role"}), "roleRef.name: Required value"),
        (
            "RoleBinding",
            named(roleRef=ROLE_REF, subjects=[{"kind": "Robot", "name": "x"}]),
            'subjects[0].kind: Unsupported value: "Robot": supported values: "Group", '
            '"ServiceAccount", "User"',
        ),
        (
            "ClusterRoleBinding",
            named(
                roleRef={"kind": "ClusterRole", "name": "r"},
                subjects=[{"kind": "ServiceAccount", "name": "x"}],
            ),
            "subjects[0].namespace: Required value",
        ),
    ],
)
def test_roles_and_bindings_are_checked(kind, doc, fault):
    assert faults(kind, doc) == [fault]


def test_a_binding_s_role_is_immutable():
    old, new = named(roleRef=ROLE_REF), named(roleRef=ROLE_REF | {"name": "other"})
    (fault,) = faults("RoleBinding", new, old)
    assert fault.endswith("cannot change roleRef")
