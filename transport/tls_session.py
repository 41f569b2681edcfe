"""One TLS session of the server's side, without a socket: bytes of the wire in, bytes of the application out, and back.

Invariants:
- Whoever holds a session sends what `seal`, `take` and `finish` give, all of it and in this order.
- Of input it keeps a part of one record (RFC 8446, section 5.1: 16 KiB and a little); behind the peer's end it keeps nothing.
- After `TlsFailed` it can only be taken from: what it gives then is the alert that says why.

Left out: sockets, time, what the bytes mean.
"""

from __future__ import annotations

import contextlib
import ssl

RECORD_BYTES = 16_384


class TlsFailed(Exception):
    """The peer does not speak TLS as it must, or nothing could be agreed on; the message is OpenSSL's name for it."""


class TlsSession:
    """A session.

    Args:
        context: with a certificate.

    Attributes:
        established: the handshake is done.
        ended: the peer has said that it sends no more.
        untouched: nothing has been received yet.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended", "established", "untouched")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = self.ended = False
        self.untouched = True

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on (RFC 7301); None where the client named none that is known here."""
        return self._object.selected_alpn_protocol()

    def open(self, data: bytes) -> bytes:
        """Take bytes of the wire; give those of the application, b"" where none are whole yet. `take` afterwards.

        Raises:
            TlsFailed: send what `take` gives, and close.
        """
        if self.ended:
            return b""
        self.untouched = False
        self._incoming.write(data)
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsFailed(error.reason or "unknown") from None

    def seal(self, data: bytes) -> bytes:
        """Bytes of the application as bytes of the wire, with what had to be sent before them.

        Raises:
            TlsFailed: the session has failed or is finished.
        """
        try:
            sent = self._object.write(data)
            while sent < len(data):  # OpenSSL takes a record at a time
                sent += self._object.write(memoryview(data)[sent:])
        except ssl.SSLError as error:
            raise TlsFailed(error.reason or "unknown") from None
        return self._outgoing.read()

    def take(self) -> bytes:
        """What is to be sent by itself: the handshake, alerts, answers to changed keys; b"" for nothing."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def finish(self) -> bytes:
        """Say that nothing more is sent; b"" where there is no session to finish."""
        if self.established:
            with contextlib.suppress(
                ssl.SSLError
            ):  # it waits for the peer's own end, which nobody needs; or it has failed
                self._object.unwrap()
        return self.take()

    def _read(self) -> bytes:
        pieces = []
        while self._incoming.pending or self._object.pending():
            try:
                piece = self._object.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.ended = True
                self._incoming.read()
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
