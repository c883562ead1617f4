"""One line a rule of ConfigMaps and Secrets."""

import pytest

from documents import faults, named

IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("kind", "doc", "old", "fault"),
    [
        (
            "ConfigMap",
            named(data={"..a": ""}),
            None,
            "data[..a]: Invalid value: \"..a\": must not start with '..'",
        ),
        (
            "ConfigMap",
            named(data={"a": ""}, binaryData={"a": ""}),
            None,
            'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        ),
        (
            "ConfigMap",
            named(data={"a": "x" * (1 + (1 << 20))}),
            None,
            "data: Too long: may not be more than 1048576 bytes",
        ),
        (
            "ConfigMap",
            named(immutable=True, data={"a": "2"}),
            named(immutable=True, data={"a": "1"}),
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "ConfigMap",
            named(),
            named(immutable=True),
            "immutable: Forbidden: field is immutable when `immutable` is set",
        ),
        ("Secret", named(type="b"), named(type="a"), f'type: Invalid value: "b": {IMMUTABLE}'),
        (
            "Secret",
            named(type="kubernetes.io/tls", data={"tls.key": ""}),
            None,
            "data[tls.crt]: Required value",
        ),
    ],
)
def test_data_is_checked(kind, doc, old, fault):
    assert faults(kind, doc, old) == [fault]
