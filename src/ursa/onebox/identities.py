"""The cluster's authority and the certificates of its components, made once, kept.

The names are Kubernetes' where Kubernetes has such a component. Rights come from the roles
that the API server sets up at its start, never from here; the one exception is `admin`,
whose group system:masters may do all.
"""

from __future__ import annotations

import base64
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ursa.base import pki
from ursa.base.config import TlsFiles
from ursa.base.pki import Identity
from ursa.onebox.layout import Cluster, Node


def identities(cluster: Cluster) -> dict[str, Identity]:
    """Return every component's identity by the name of its files."""
    control = ["127.0.0.1", cluster.host_address]
    named = {
        "admin": Identity("admin", ["system:masters"]),
        "apiserver": Identity(
            "system:apiserver",
            ["system:masters"],
            dns_names=["localhost", "kubernetes", "kubernetes.default.svc"],
            addresses=control,
        ),
        "scheduler": Identity("system:kube-scheduler"),
        "controllers": Identity("system:kube-controller-manager"),
        "alcor": Identity("system:alcor", dns_names=["localhost"], addresses=control),
    }
    for node in cluster.nodes:
        named |= _node_identities(node)
    return named


def _node_identities(node: Node) -> dict[str, Identity]:
    return {
        f"agent-{node.name}": Identity(
            f"system:node:{node.name}",
            ["system:nodes"],
            dns_names=[node.name],
            addresses=[node.address, "127.0.0.1"],
        ),
        f"netd-{node.name}": Identity(f"system:netd:{node.name}", ["system:netds"]),
    }


def ensure(cluster: Cluster) -> None:
    """Make whatever certificate is missing."""
    folder = cluster.path("pki")
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = _authority(folder, f"ursa-{cluster.id}")
    if not (folder / "sa.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pki.save(folder / "sa.key", pem, secret=True)
    for name, identity in identities(cluster).items():
        if not (folder / f"{name}.crt").exists():
            cert, key_pem = pki.issue(authority, identity)
            pki.save(folder / f"{name}.key", key_pem, secret=True)
            pki.save(folder / f"{name}.crt", cert, secret=False)


def _authority(folder: Path, name: str) -> pki.Authority:
    if not (folder / "ca.crt").exists():
        authority = pki.new_authority(name)
        pki.save(folder / "ca.key", pki.authority_key_pem(authority), secret=True)
        pki.save(folder / "ca.crt", authority.cert_pem(), secret=False)
    return pki.load_authority(folder / "ca.crt", folder / "ca.key")


def tls(cluster: Cluster, name: str) -> TlsFiles:
    """Return where a component's own files lie."""
    return TlsFiles(
        ca=str(cluster.pki("ca.crt")),
        cert=str(cluster.pki(f"{name}.crt")),
        key=str(cluster.pki(f"{name}.key")),
    )


def kubeconfig(cluster: Cluster, *, tenant: str | None, user: str) -> str:
    """Return a kubeconfig. A tenant's user gets a fresh certificate; the operator its own.

    In a tenant, the user `admin` may do all by the role binding that each tenant is made with.
    """
    if tenant is None:
        cert = cluster.pki("admin.crt").read_bytes()
        key = cluster.pki("admin.key").read_bytes()
    else:
        authority = pki.load_authority(cluster.pki("ca.crt"), cluster.pki("ca.key"))
        cert, key = pki.issue(authority, Identity(user, tenant=tenant))
    name = f"ursa-{cluster.id}" if tenant is None else f"ursa-{cluster.id}-{tenant}"
    return _kubeconfig(cluster, name, user, cert, key)


def _kubeconfig(cluster: Cluster, name: str, user: str, cert: bytes, key: bytes) -> str:
    ca = cluster.pki("ca.crt").read_bytes()
    account = f"{user}@{name}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.local_url,
                    "certificate-authority-data": base64.b64encode(ca).decode(),
                },
            }
        ],
        "users": [
            {
                "name": account,
                "user": {
                    "client-certificate-data": base64.b64encode(cert).decode(),
                    "client-key-data": base64.b64encode(key).decode(),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": account}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)
