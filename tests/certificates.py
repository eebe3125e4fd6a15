"""Authorities and certificates for tests, made when they are needed."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Says which certificates are good. Its own lies in ``folder``, as do those that it has made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = _name("authority")
        self._key = ec.generate_private_key(ec.SECP256R1())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.path = folder / "authority.pem"
        self.path.write_bytes(self._certify(self._name, self._key.public_key(), constraint))

    def variables(self, name: str, address: str) -> dict[str, str]:
        """Make a certificate for an address, and name it in the variables by which Ray uses TLS."""
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [ipaddress.ip_address(one) for one in (address, "127.0.0.1")]
        names = x509.SubjectAlternativeName([x509.IPAddress(one) for one in addresses])
        certificate, key_path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(self._certify(_name(name), key.public_key(), names))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return {
            "RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": str(certificate), "RAY_TLS_SERVER_KEY": str(key_path),
            "RAY_TLS_CA_CERT": str(self.path),
        }  # fmt: skip

    def _certify(self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.timezone.utc)
        made = x509.CertificateBuilder(
            issuer_name=self._name, subject_name=name, public_key=key, serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1), not_valid_after=now + datetime.timedelta(days=1),
        ).add_extension(extension, critical=False)  # fmt: skip
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
