"""The syntax of names, labels, ports and addresses: each check returns what is wrong, if anything.

Source: apimachinery, pkg/util/validation/validation.go (expressions and messages).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

Details = Sequence[str]
Check = Callable[[str], Details]

LABEL_BYTES_MAX = 63  # DNS-1123 label, and Kubernetes' label values and name parts
SUBDOMAIN_BYTES_MAX = 253
OK: Details = ()


def _pattern(expression: str, message: str, *examples: str) -> tuple[re.Pattern[str], str]:
    listed = " or ".join(f"'{example}', " for example in examples)
    tail = f"regex used for validation is '{expression}'"
    text = f"{message} (e.g. {listed}{tail})" if examples else f"{message} ({tail})"
    return re.compile(expression), text


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ENDS = "and must start and end with an alphanumeric character"

_DNS_LABEL = _pattern(
    _LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{_ENDS}",
    "my-name",
    "123-abc",
)
_DNS_1035_LABEL = _pattern(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
)
_SUBDOMAIN = _pattern(
    rf"{_LABEL}(\.{_LABEL})*",
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    f"'-' or '.', {_ENDS}",
    "example.com",
)
_NAME_PART = _pattern(
    _QUALIFIED,
    f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}",
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE = _pattern(
    f"({_QUALIFIED})?",
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    f"'.', {_ENDS}",
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY = _pattern(
    "[-._a-zA-Z0-9]+",
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "key.name",
    "KEY_NAME",
    "key-name",
)
# A qualified name that is right, in one match; what fails it is looked at part by part.
_QUALIFIED_NAME = re.compile(
    rf"(?:(?=[^/]{{1,{SUBDOMAIN_BYTES_MAX}}}/){_SUBDOMAIN[0].pattern}/)?"
    rf"(?=.{{1,{LABEL_BYTES_MAX}}}$){_NAME_PART[0].pattern}"
)
_ENV_NAME = re.compile("[ -<>-~]+")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _bounded(text: str, bytes_max: int) -> Details:
    return (f"must be no more than {bytes_max} bytes",) if len(text.encode()) > bytes_max else OK


def _matching(rule: tuple[re.Pattern[str], str], bytes_max: int) -> Check:
    expression, message = rule

    def check(text: str) -> Details:
        if expression.fullmatch(text):
            return OK if len(text) <= bytes_max else _bounded(text, bytes_max)
        return (*_bounded(text, bytes_max), message)

    return check


dns_label = _matching(_DNS_LABEL, LABEL_BYTES_MAX)
dns_1035_label = _matching(_DNS_1035_LABEL, LABEL_BYTES_MAX)
dns_subdomain = _matching(_SUBDOMAIN, SUBDOMAIN_BYTES_MAX)
label_value = _matching(_LABEL_VALUE, LABEL_BYTES_MAX)
_config_key = _matching(_CONFIG_KEY, SUBDOMAIN_BYTES_MAX)


def qualified_name(text: str) -> Details:
    """Check a label's or an annotation's key: `name` or `prefix/name`."""
    if _QUALIFIED_NAME.fullmatch(text):
        return OK
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return (
            "a qualified name "
            + _NAME_PART[1]
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    details: list[str] = []
    if slash and not prefix:
        details.append("prefix part must be non-empty")
    elif slash:
        details += [f"prefix part {detail}" for detail in dns_subdomain(prefix)]
    if not name:
        details.append("name part must be non-empty")
    details += [f"name part {detail}" for detail in _bounded(name, LABEL_BYTES_MAX)]
    if not _NAME_PART[0].fullmatch(name):
        details.append(f"name part {_NAME_PART[1]}")
    return details


def config_key(text: str) -> Details:
    """Check a key of a ConfigMap or a Secret, which may become a file's name."""
    if text[:1] != ".":
        return _config_key(text)
    if text in (".", ".."):
        return (f"must not be '{text}'",)
    return ("must not start with '..'",) if text.startswith("..") else _config_key(text)


def path_segment(text: str) -> Details:
    """Check a name that need only fit into a URL: RBAC's kinds."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return [f"may not contain '{letter}'" for letter in "/%" if letter in text]


def env_name(text: str) -> Details:
    if _ENV_NAME.fullmatch(text):
        return OK
    return (
        "a valid environment variable name must consist only of printable ASCII characters "
        "other than '='",
    )


def port_number(number: int) -> Details:
    return OK if 1 <= number <= 65535 else ("must be between 1 and 65535, inclusive",)


def port_name(text: str) -> Details:
    """Check a service name of RFC 6335."""
    details: list[str] = []
    if len(text) > 15:
        details.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", text):
        details.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    elif not re.search("[a-z]", text):
        details.append("must contain at least one letter (a-z)")
    if "--" in text:
        details.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        details.append("must not begin or end with a hyphen")
    return details


def ip_address(text: str) -> Details:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",)
    return OK


def mac_address(text: str) -> Details:
    if not _MAC.fullmatch(text):
        return ("must be six pairs of lower case hexadecimal digits (e.g. '02:00:00:00:00:05')",)
    if int(text[:2], 16) & 1:
        return ("must be a unicast address: the first octet is even",)
    return OK


def ipv4_prefix(text: str, shortest: int, longest: int) -> Details:
    """Check an IPv4 prefix in its canonical form, of a length in `shortest..longest`."""
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return ("must be a valid IPv4 prefix (e.g. '10.0.0.0/16')",)
    if str(network) != text:
        return (f"must be written as its network address: {network}",)
    if not shortest <= network.prefixlen <= longest:
        return (f"prefix length {network.prefixlen} is outside {shortest}..{longest}",)
    return OK
