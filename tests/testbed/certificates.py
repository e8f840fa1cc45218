"""Keys, certificates and kubeconfig files of one control plane.

Everything is made anew for each control plane and dies with its folder.
"""

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Credential:
    """What a user shows to the API server: a token, or a certificate with its key (PEM)."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


class Authority:
    """One certificate authority with its files: ``ca.crt``, ``ca.key`` and ``service-account.key``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA(organization_name="kvsync testbed")
        self.certificate_file = directory / "ca.crt"
        self.key_file = directory / "ca.key"
        self.service_account_key_file = directory / "service-account.key"
        self.certificate_file.write_bytes(self.certificate)
        _write_secret(self.key_file, self._ca.private_key_pem.bytes())
        _write_secret(self.service_account_key_file, _pem(_new_key()))

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self._ca.cert_pem.bytes()

    def serving(self, name: str, identities: Sequence[str]) -> tuple[Path, Path]:
        """Certificate and key files of a server that answers at these names and addresses."""
        issued = self._ca.issue_cert(*identities, common_name=name)
        certificate = self._directory / f"{name}.crt"
        key = self._directory / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        _write_secret(key, issued.private_key_pem.bytes())
        return certificate, key

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """Certificate of a user: its CN is the name, each O a group.

        trustme writes one organization at most and a user may be in several groups, so this
        one is built here (Kubernetes, reference/access-authn-authz/authentication, "X.509").
        """
        key = _new_key()
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        )
        certificate = self._sign(subject, key.public_key())
        return Credential(certificate=certificate.public_bytes(Encoding.PEM), key=_pem(key))

    def _sign(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        authority_key = load_pem_private_key(self._ca.private_key_pem.bytes(), password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.load_pem_x509_certificate(self.certificate).subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(authority_key, hashes.SHA256())
        )


def write_kubeconfig(path: Path, server: str, authority: bytes, credential: Credential) -> Path:
    """Write a kubeconfig with everything inline, so that the one file can be carried elsewhere."""
    user: dict[str, str] = {}
    if credential.token:
        user["token"] = credential.token
    if credential.certificate:
        user["client-certificate-data"] = _base64(credential.certificate)
        user["client-key-data"] = _base64(credential.key)
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "current-context": "testbed",
    }
    _write_secret(path, yaml.safe_dump(document, sort_keys=False).encode())
    return path


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The API server takes an EC key for ServiceAccount tokens in this form only
    # (k8s.io/client-go/util/keyutil/key.go, ParsePublicKeysPEM).
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _write_secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
