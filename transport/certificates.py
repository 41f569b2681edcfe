"""The certificate of a server that speaks TLS itself: loaded at the start, read again later, replaced whole or not at all.

A connection keeps the context that it began with, so that a new certificate drops nobody. A pair that cannot be used leaves the
old one in force and says why in `problem`: between the two files of a renewal there is such a moment.

TLS 1.2 is the oldest version, with forward secrecy and authenticated encryption only (RFC 9325, sections 3.1.1 and 4.2); there is
no renegotiation and no compression. Left out: client certificates, OCSP stapling, several names with a certificate each (SNI).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from ..engine.log import get_logger
from .tls_settings import TlsSettings

_log = get_logger("hubbub.transport.certificates")

HTTP2: Final = "h2"
_HTTP1: Final = "http/1.1"
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all of this kind."""


class CertificateError(Exception):
    """The files do not make a usable certificate; the message names them and shows nothing of the key."""


class Certificates:
    """The certificate in force.

    Args:
        settings: with both files.

    Attributes:
        context: what the next connection begins with.
        problem: why the last reading was refused, or None.

    Raises:
        CertificateError: they cannot be used.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self.context = load(settings)
        self.problem: str | None = None

    def files(self) -> Iterator[Path]:
        """Whose content matters."""
        yield from (path for path in (self._settings.cert, self._settings.key) if path is not None)

    def reload(self) -> bool:
        """Read the files again; blocks while it reads. False: they cannot be used, which is logged and stays in `problem`."""
        try:
            self.context = load(self._settings)
        except CertificateError as error:
            self.problem = str(error)
            _log.error("tls.certificate_refused", problem=self.problem)
            return False
        if self.problem is not None:
            _log.info("tls.certificate_taken")
        self.problem = None
        return True


def certificates_of(settings: TlsSettings) -> Certificates | None:
    """The certificate that the settings name; None for plain HTTP.

    Raises:
        CertificateError: it cannot be used.
    """
    return None if settings.cert is None else Certificates(settings)


def load(settings: TlsSettings) -> ssl.SSLContext:
    """Make a context of the files.

    Raises:
        CertificateError: one cannot be read, or they do not belong together.
    """
    cert, key = settings.cert, settings.key
    assert cert is not None, "TLS needs a certificate"
    assert key is not None, "TLS needs a key"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([HTTP2, _HTTP1] if settings.http2 else [_HTTP1])
    for path in (cert, key):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except _Encrypted:
        raise CertificateError(f"{key} is encrypted: the server has nobody to ask for its password") from None
    except ssl.SSLError as error:
        why = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else error.reason or "no PEM"
        raise CertificateError(f"{cert} and {key} cannot be used: {why}") from None
    except OSError as error:
        raise CertificateError(f"{cert} and {key} cannot be read: {error.strerror}") from None
    return context


class _Encrypted(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> NoReturn:
    raise _Encrypted
