"""The client's side of HTTP/1.1: cut anywhere, held against h11's server, and refused where it makes no sense."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.rest import wire
from hubbub.bench.rest.wire import Answer, Answers, Requests
from hubbub.bench.wire import WireError

BODIES = st.binary(max_size=200) | st.just(b"z" * 70_000)
STATUSES = st.sampled_from([200, 201, 204, 304, 404, 503])


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Answer], bytes]:
    """Some answers and how h11 writes them, cut in chunks where it likes, with interim answers in front of some."""
    wanted: list[Answer] = []
    data = b""
    server = h11.Connection(h11.SERVER)
    for _ in range(draw(st.integers(1, 4))):
        server.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while server.next_event() is not h11.NEED_DATA and server.their_state is not h11.DONE:
            pass
        if draw(st.booleans()):
            data += server.send(h11.InformationalResponse(status_code=102, headers=[])) or b""
        status, pieces = draw(STATUSES), draw(st.lists(BODIES, max_size=3))
        whole = b"" if status in (204, 304) else b"".join(pieces)
        framing = [] if draw(st.booleans()) else [("Content-Length", str(len(whole)))]
        data += server.send(h11.Response(status_code=status, headers=[("X-Odd", "a: b"), *framing])) or b""
        for piece in pieces if whole else ():
            data += server.send(h11.Data(data=piece)) or b""
        data += server.send(h11.EndOfMessage()) or b""
        wanted.append(Answer(status, whole, closing=False))
        server.start_next_cycle()
    return wanted, data


@given(answers(), st.data())
def test_answers_cut_anywhere_are_read_as_sent(made: tuple[list[Answer], bytes], data: st.DataObject) -> None:
    """Whatever h11 writes is read the same in one piece, in two, and byte by byte."""
    wanted, raw = made
    cut = data.draw(st.integers(0, len(raw)))
    assert Answers().feed(raw) == wanted
    halves = Answers()
    assert halves.feed(raw[:cut]) + halves.feed(raw[cut:]) == wanted
    if len(raw) < 2_000:
        single = Answers()
        assert [answer for at in range(len(raw)) for answer in single.feed(raw[at : at + 1])] == wanted


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 80))
def test_nonsense_is_refused_or_waited_for(junk: bytes, at: int, cut: int) -> None:
    """Bytes put anywhere into an answer end in a typed error, an answer, or patience; and cuts do not matter."""
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    raw = raw[:at] + junk + raw[at:]

    def read(*pieces: bytes) -> tuple[list[Answer], bool]:
        reader, found = Answers(), []
        try:
            for piece in pieces:
                found += reader.feed(piece)
        except WireError:
            return found, True
        return found, False

    whole, halves = read(raw), read(raw[:cut], raw[cut:])
    assert whole[1] == halves[1]
    assert whole[1] or whole[0] == halves[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * wire.MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * wire.MAX_LINE_BYTES,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\nmore",
    ],
)
def test_what_no_server_of_ours_sends_is_refused(raw: bytes) -> None:
    """Unknown lengths, lengths said twice, upgrades, and whatever is over a bound end in an error."""
    with pytest.raises(WireError):
        Answers().feed(raw)


@pytest.mark.parametrize(
    ("head", "closing"),
    [
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_the_last_answer_is_known(head: bytes, closing: bool) -> None:
    """Who asks must know whether the connection goes on."""
    (answer,) = Answers().feed(head + b"Content-Length: 2\r\n\r\nab")
    assert answer == Answer(200, b"ab", closing)


@given(st.text(max_size=100))
def test_requests_read_back(text: str) -> None:
    """h11's server understands both kinds of request."""
    requests, body = Requests("host:1", "tok"), text.encode()
    server = h11.Connection(h11.SERVER)
    server.receive_data(requests.post("/a/b", body, "key-1"))
    head, seen = server.next_event(), b""
    while isinstance(event := server.next_event(), h11.Data):
        seen += event.data
    assert isinstance(head, h11.Request)
    assert (head.method, head.target, seen) == (b"POST", b"/a/b", body)
    assert dict(head.headers)[b"idempotency-key"] == b"key-1"
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(requests.get("/c?d=1"))
    asked = reader.next_event()
    assert isinstance(asked, h11.Request)
    assert (asked.method, asked.target) == (b"GET", b"/c?d=1")
    assert dict(asked.headers)[b"authorization"] == b"Bearer tok"
    assert isinstance(reader.next_event(), h11.EndOfMessage)
