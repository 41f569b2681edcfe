"""Every peer that can run here, as a real process: rooms, offsets, answers, members that leave.

Those that cannot run are skipped with the reason, except the Python ones, whose packages are among ours.
"""

import pytest

from hubbub.bench.dialects import Answer
from hubbub.bench.dialects.names import dialect
from hubbub.bench.peers.catalogue import PEERS, Peer
from hubbub.bench.peers.launch import Running, launched
from hubbub.bench.peers.prepare import NodeServer, PythonServer, Unavailable

from .member import Member


@pytest.fixture(params=PEERS, ids=lambda peer: peer.name)
def running(request: pytest.FixtureRequest):
    peer: Peer = request.param
    if isinstance(peer.recipe, NodeServer) and not peer.recipe.installed():
        pytest.skip("its npm package is not installed: make peers")
    try:
        with launched(peer) as found:
            yield found
    except Unavailable as exc:
        assert not isinstance(peer.recipe, PythonServer)
        pytest.skip(str(exc))


def join(running: Running, room: str | None) -> Member:
    return Member(dialect(running.peer.dialect), running.server, room)


@pytest.mark.server
def test_a_peer_holds_rooms(running: Running) -> None:
    """Members get the posts of their room with its offsets from 1; who posts gets an answer and no event."""
    with join(running, "a") as first, join(running, "a") as second, join(running, "b") as other:
        with join(running, None) as poster:
            for number in range(20):
                poster.post(number, "a", f"text {number}, \u00e9\u4e16")
            poster.post(2**31, "b", "alone")
            assert sorted(answer.command_id for answer in poster.answers(21)) == [*range(20), 2**31]
            assert all(isinstance(word, Answer) for word in poster.heard)
        events = first.events(20)
        assert [(event.offset, event.text) for event in events] == [
            (number + 1, f"text {number}, \u00e9\u4e16") for number in range(20)
        ]
        assert second.events(20) == events
        assert [(event.offset, event.text) for event in other.events(1)] == [(1, "alone")]


@pytest.mark.server
def test_a_late_member_is_told_where_the_room_stands(running: Running) -> None:
    """Its offset is that of the last event; it gets the next one, also after another member has left."""
    with join(running, None) as poster:
        with join(running, "a") as gone:
            assert gone.joined.offset == 0
            poster.post(0, "a", "one")
            gone.events(1)
        with join(running, "a") as late:
            assert late.joined.offset == 1
            poster.post(1, "a", "two")
            assert [(event.offset, event.text) for event in late.events(1)] == [(2, "two")]


@pytest.mark.server
def test_members_get_the_same_bytes(running: Running) -> None:
    """Readers can be compared byte by byte: what each reads of three events is equal."""
    with join(running, "a") as first, join(running, "a") as second, join(running, None) as poster:
        for number in range(3):
            poster.post(number, "a", "x" * 120)
        poster.answers(3)
        assert len(first.events(3)) == len(second.events(3)) == 3
        assert first.raw == second.raw
