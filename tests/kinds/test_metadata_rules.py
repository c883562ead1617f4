"""What every object's metadata must be."""

import pytest

from documents import faults, named

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("kind", "doc", "fault"),
    [
        (
            "ConfigMap",
            {"metadata": {}},
            "metadata.name: Required value: name or generateName is required",
        ),
        ("ConfigMap", named("A_b"), f'metadata.name: Invalid value: "A_b": {SUBDOMAIN}'),
        ("Namespace", named("a.b"), f'metadata.name: Invalid value: "a.b": {LABEL}'),
        (
            "ConfigMap",
            named("a" * 254),
            f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 bytes',
        ),
        ("Role", named("a/b"), "metadata.name: Invalid value: \"a/b\": may not contain '/'"),
        (
            "Tenant",
            named("all"),
            'metadata.name: Invalid value: "all": is not an acceptable tenant name',
        ),
        (
            "ConfigMap",
            {"metadata": {"name": "x", "labels": {"a": "b c"}}},
            f'metadata.labels: Invalid value: "b c": {LABEL_VALUE}',
        ),
        (
            "ConfigMap",
            {"metadata": {"name": "x", "labels": {"-a": "b"}}},
            f'metadata.labels: Invalid value: "-a": {NAME_PART}',
        ),
        (
            "ConfigMap",
            {"metadata": {"name": "x", "annotations": {"a": "b" * (257 << 10)}}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            "ConfigMap",
            {"metadata": {"name": "x", "finalizers": ["mine"]}},
            'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer '
            "name nor is it fully qualified",
        ),
        (
            "ConfigMap",
            {
                "metadata": {
                    "name": "x",
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}],
                }
            },
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
)
def test_metadata_is_checked(kind, doc, fault):
    assert faults(kind, doc) == [fault]
