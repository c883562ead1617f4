"""The cluster's certificate authority and the certificates of its identities.

An identity is a client certificate: CN is the user name. Its tenant is the one O of the form
`tenant:<name>`, its groups are then the OUs; without such an O the tenant is `system` and
the groups are the Os, as Kubernetes has it. Keys are P-256 (handshake ≈ 1.3 ms).
Source: reference of Arktos' x509 rule; RFC 5280; Kubernetes "PKI certificates".
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
LEAF_DAYS = 365
CLOCK_SKEW = datetime.timedelta(minutes=5)  # a peer's clock may be behind


@dataclass(frozen=True, slots=True)
class Authority:
    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate speaks for. `tenant` None means tenant `system`, Kubernetes' form."""

    user: str
    groups: Sequence[str] = ()
    tenant: str | None = None
    dns_names: Sequence[str] = ()
    addresses: Sequence[str] = ()  # IP addresses that a server is reached at


def new_authority(name: str) -> Authority:
    """Return a fresh self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(sign_certs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(cert, key)


def issue(authority: Authority, identity: Identity, days: int = LEAF_DAYS) -> tuple[bytes, bytes]:
    """Return (certificate, key) as PEM, good for client and server use."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(identity))
        .issuer_name(authority.cert.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certs=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            ),
            critical=False,
        )
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in identity.dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(text)) for text in identity.addresses]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    cert = builder.sign(authority.key, hashes.SHA256())
    return cert.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def load_authority(cert: Path, key: Path) -> Authority:
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey), f"{key} is no P-256 key of ours"
    return Authority(x509.load_pem_x509_certificate(cert.read_bytes()), loaded)


def save(path: Path, pem: bytes, *, secret: bool) -> None:
    """Write a PEM file whole or not at all; a secret one is readable by its owner alone."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def authority_key_pem(authority: Authority) -> bytes:
    return _key_pem(authority.key)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _subject(identity: Identity) -> x509.Name:
    attributes = []
    if identity.tenant is None:
        groups = NameOID.ORGANIZATION_NAME
    else:
        groups = NameOID.ORGANIZATIONAL_UNIT_NAME
        attributes.append(
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"tenant:{identity.tenant}")
        )
    attributes += [x509.NameAttribute(groups, group) for group in identity.groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, identity.user))
    return x509.Name(attributes)


def _key_usage(*, sign_certs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certs,
        crl_sign=sign_certs,
        encipher_only=False,
        decipher_only=False,
    )
