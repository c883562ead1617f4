import ssl

from cryptography import x509
from cryptography.x509.oid import NameOID

from ursa.base import pki
from ursa.base.pki import Identity


def names(cert: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in cert.subject.get_attributes_for_oid(oid)]


def test_a_tenants_user_carries_the_tenant_and_its_groups():
    authority = pki.new_authority("test")
    pem, _ = pki.issue(authority, Identity("ann", ["dev"], tenant="acme"))
    cert = x509.load_pem_x509_certificate(pem)
    assert names(cert, NameOID.ORGANIZATION_NAME) == ["tenant:acme"]
    assert names(cert, NameOID.ORGANIZATIONAL_UNIT_NAME) == ["dev"]
    assert names(cert, NameOID.COMMON_NAME) == ["ann"]


def test_a_system_identity_has_kubernetes_form():
    pem, _ = pki.issue(pki.new_authority("test"), Identity("admin", ["system:masters"]))
    cert = x509.load_pem_x509_certificate(pem)
    assert names(cert, NameOID.ORGANIZATION_NAME) == ["system:masters"]


def test_a_saved_authority_is_loaded_and_signs_what_its_peers_accept(tmp_path):
    made = pki.new_authority("test")
    pki.save(tmp_path / "ca.crt", made.cert_pem(), secret=False)
    pki.save(tmp_path / "ca.key", pki.authority_key_pem(made), secret=True)
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    loaded = pki.load_authority(tmp_path / "ca.crt", tmp_path / "ca.key")
    cert, key = pki.issue(loaded, Identity("server", addresses=["127.0.0.1"]))
    (tmp_path / "s.pem").write_bytes(cert + key)
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "s.pem")
    shake_hands(client, server)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Carry a handshake to its end in memory. SSLError if a side refuses the other."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(down, up, server_hostname="127.0.0.1"),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert sides[0].version() == "TLSv1.3"
