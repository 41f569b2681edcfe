"""Certificates for tests, made by the openssl program: one that signs itself, for `localhost` and the loopback addresses."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import attrs

_EXTENSIONS = (
    "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
    "keyUsage=critical,digitalSignature,keyCertSign",
    "extendedKeyUsage=serverAuth",
)


@attrs.frozen
class Certificate:
    """The files of a certificate and its key."""

    cert: Path
    key: Path

    def client(self) -> ssl.SSLContext:
        """A context of clients that trust it and nothing else."""
        return ssl.create_default_context(cafile=str(self.cert))


def make_certificate(directory: Path, name: str = "server") -> Certificate:
    """Make one that is good for two days."""
    made = Certificate(directory / f"{name}.pem", directory / f"{name}-key.pem")
    extensions = [part for extension in _EXTENSIONS for part in ("-addext", extension)]
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", *extensions, "-keyout", str(made.key), "-out", str(made.cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made
