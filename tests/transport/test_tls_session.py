"""The session without a socket, against OpenSSL as a client."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.transport.certificates import load
from hubbub.transport.tls_session import TlsFailed, TlsSession
from hubbub.transport.tls_settings import TlsSettings

from ..certificates import make_certificate


class Peer:
    """A client on memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def step(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def write(self, data: bytes) -> bytes:
        """What is sent for this."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def read(self, data: bytes) -> bytes:
        """What these bytes say; an end is b""."""
        self.incoming.write(data)
        pieces = []
        try:
            while piece := self.tls.read(1 << 16):
                pieces.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(pieces)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(certificate):
    return load(TlsSettings(cert=certificate.cert, key=certificate.key))


def shake(context: ssl.SSLContext, client: ssl.SSLContext) -> tuple[TlsSession, Peer]:
    session, peer = TlsSession(context), Peer(client)
    while not (peer.step() and session.established):
        assert session.open(peer.outgoing.read()) == b""
        peer.incoming.write(session.take())
    peer.read(session.take())
    return session, peer


def client_of(certificate, **changes) -> ssl.SSLContext:
    found = certificate.client()
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@settings(deadline=None, max_examples=25)
@given(
    up=st.lists(st.binary(min_size=1, max_size=40_000), max_size=4),
    down=st.lists(st.binary(min_size=1, max_size=40_000), max_size=4),
    cut=st.integers(1, 20_000),
)
def test_bytes_arrive_whole_and_in_order(certificate, context, version, up, down, cut):
    """Both ways, in both versions, however the wire cuts them."""
    session, peer = shake(context, client_of(certificate, maximum_version=version, minimum_version=version))
    wire = b"".join(peer.write(data) for data in up)
    assert b"".join(session.open(wire[at : at + cut]) for at in range(0, len(wire), cut)) == b"".join(up)
    sealed = b"".join(session.seal(data) for data in down)
    assert b"".join(peer.read(sealed[at : at + cut]) for at in range(0, len(sealed), cut)) == b"".join(down)


def test_the_end_is_said_and_heard(certificate, context):
    """A close_notify either way; nothing is kept of what comes behind it, and one may still answer."""
    session, peer = shake(context, certificate.client())
    last = peer.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.unwrap()
    assert session.open(last + peer.outgoing.read() + b"x" * 70_000) == b"last"
    assert session.ended
    assert session.open(b"more" * 1_000) == b""
    assert session._incoming.pending == 0
    assert peer.read(session.seal(b"answer")) == b"answer"
    peer.incoming.write(session.finish())
    peer.tls.unwrap()


@pytest.mark.parametrize(
    ("garbage", "alert"),
    [
        pytest.param(b"\x16\x03\x01\x00\x05hello", b"\x15", id="no hello"),
        pytest.param(b"\x16\x03\x01\x50\x01" + b"x" * 20_481, b"\x15", id="too long"),
        pytest.param(b"\x16" * 100, b"", id="no record"),
    ],
)
def test_garbage_fails(context, garbage, alert):
    """What is no hello is told so, where it has the form of a record, and no more is taken."""
    session = TlsSession(context)
    with pytest.raises(TlsFailed):
        session.open(garbage)
    assert session.take()[:1] == alert
    assert session.finish() == b""


def test_a_broken_record_fails(certificate, context):
    """One bit of an established session."""
    session, peer = shake(context, certificate.client())
    sealed = bytearray(peer.write(b"hello"))
    sealed[-1] ^= 1
    with pytest.raises(TlsFailed, match=r"BAD_RECORD_MAC|DECRYPTION_FAILED"):
        session.open(bytes(sealed))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_versions_and_weak_ciphers_are_refused(certificate, context):
    """TLS 1.1, and suites of 1.2 without forward secrecy or with CBC."""
    old = client_of(certificate)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak = client_of(certificate, maximum_version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA")
    for client in (old, weak):
        with pytest.raises((TlsFailed, ssl.SSLError)):
            shake(context, client)
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["x"], None), ([], None)]
)
def test_what_is_spoken_is_agreed_on(certificate, context, offered, agreed):
    """HTTP/2 where the client offers it; who offers what is not known here is taken to speak HTTP/1.1."""
    client = certificate.client()
    if offered:
        client.set_alpn_protocols(offered)
    assert shake(context, client)[0].alpn == agreed
