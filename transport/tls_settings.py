"""What a server needs to speak TLS itself, apart from its code: reading settings loads no OpenSSL."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import gt, instance_of


@attrs.frozen(kw_only=True)
class TlsSettings:
    """TLS on the server's own port. Their content is read again when the files change; other files need a restart.

    Attributes:
        cert: certificate chain, PEM, the server's own first; left out: plain HTTP.
        key: its private key, PEM, not encrypted.
        http2: offer HTTP/2 to clients (ALPN), besides HTTP/1.1.
        handshake_s: how long a handshake may take.
    """

    cert: Path | None = None
    key: Path | None = None
    http2: bool = attrs.field(default=True, validator=instance_of(bool))
    handshake_s: float = attrs.field(default=10.0, validator=gt(0))

    def __attrs_post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: give both, or neither for plain HTTP")
