"""Mutants of G6: a subscriber is a cursor, nobody waits for it, and it loses nothing."""

from typing import Final

from .mutant import Edit, Mutant

_SUBSCRIBER = "tests/engine/core/test_subscriber.py"
_FANOUT = "tests/engine/test_fanout.py"
_CENTRIFUGAL = "tests/transport/test_centrifugal.py"
_CONNECTION = "tests/transport/test_connection.py"

READERS: Final = (
    Mutant(
        name="cursor-moves-before-a-refused-push",
        promise="G5",
        breaks="a reader that was busy for a moment loses what was refused",
        story="The two lines are swapped to have all changes of state in front of the call.",
        edits=(
            Edit(
                "engine/core/subscriber.py",
                """
            if not self.push(tail.join(self.format, self.cursor, upto)):
                return Progress.BLOCKED
            self.cursor = upto
""",
                """
            data = tail.join(self.format, self.cursor, upto)
            self.cursor = upto
            if not self.push(data):
                return Progress.BLOCKED
""",
            ),
        ),
        tests=(_SUBSCRIBER, _FANOUT),
    ),
    Mutant(
        name="pass-moves-refused-cursors",
        promise="G5",
        breaks="a reader that is busy when a pass comes by loses what was committed",
        story="The hot loop is made shorter by a branch.",
        edits=(
            Edit(
                "engine/_fanout.py",
                """
            if subscriber.push(data):
                subscriber.cursor = upto
            else:
                subscriber.outlet.fell_behind(subscriber)
""",
                """
            if not subscriber.push(data):
                subscriber.outlet.fell_behind(subscriber)
            subscriber.cursor = upto
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="refused-and-forgotten",
        promise="G5",
        breaks="a reader that is busy when a pass comes by is never served again",
        story="The next pass will serve it; but a pass serves only those at its start.",
        edits=(
            Edit(
                "engine/_fanout.py",
                """
                subscriber.cursor = upto
            else:
                subscriber.outlet.fell_behind(subscriber)
""",
                """
                subscriber.cursor = upto
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="pass-writes-over-a-pager",
        promise="G5",
        breaks="a reader that reads pages gets a live event in between",
        story="The cursor says whom the pass is for, so the second question seems to be one too many.",
        edits=(
            Edit(
                "engine/_fanout.py",
                """
        if subscriber.cursor != start or subscriber.stage is not Stage.LIVE:
""",
                """
        if subscriber.cursor != start:
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="pass-waits-for-the-slow",
        promise="G6",
        breaks="one reader that has stopped holds up its whole room",
        story="Waiting a moment for a busy socket saves the detour over `fell_behind`.",
        edits=(
            Edit(
                "engine/_fanout.py",
                """
            if subscriber.push(data):
                subscriber.cursor = upto
            else:
                subscriber.outlet.fell_behind(subscriber)
""",
                """
            while not subscriber.push(data):
                await trio.sleep(0.01)
            subscriber.cursor = upto
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="silent-cut",
        promise="G6",
        breaks="a reader that is given up because too many read pages is not told",
        story="Leaving is what matters to the room.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
            room.cut(subscriber, SlowSubscriber())
""",
                """
            subscriber.leave()
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="cut-not-told-to-the-client",
        promise="G6",
        breaks="a WebSocket client whose subscription was ended waits for ever",
        story="The session forgets the subscription, and the client is thought to notice.",
        edits=(
            Edit(
                "transport/centrifugal.py",
                """
        if room is not None and self.session.unfollow(room.id, subscriber) is not None:
            tell_cut_off(self, subscriber, room.id, code)
""",
                """
        if room is not None:
            self.session.unfollow(room.id, subscriber)
""",
            ),
        ),
        tests=(_CENTRIFUGAL,),
    ),
    Mutant(
        name="one-blocked-room-only",
        promise="G5",
        breaks="a connection that follows two rooms and was busy goes on with one of them",
        story="What waits for the socket is one subscriber in every test with one room.",
        edits=(
            Edit(
                "transport/centrifugal.py",
                """
        if self._behind is None:
            self._behind =
""",
                """
        if True:
            self._behind =
""",
            ),
        ),
        tests=(_CENTRIFUGAL,),
    ),
    Mutant(
        name="behind-cleared-too-late",
        promise="G5",
        breaks="an event stream that is refused twice in a row stands still for ever",
        story="The flag is cleared when the work is done, and the work may have set it anew.",
        edits=(
            Edit(
                "transport/sse.py",
                """
            self._behind = False
            self._subscriber.resume()
""",
                """
            self._subscriber.resume()
            self._behind = False
""",
            ),
        ),
        tests=("tests/transport/test_sse.py",),
    ),
    Mutant(
        name="partial-write-dropped",
        promise="G5",
        breaks="a reader whose socket took half of a write never gets the other half",
        story="Small writes are taken whole on every machine of the office.",
        edits=(
            Edit(
                "transport/connection.py",
                """
        if taken != len(data):
            self._keep(data[taken:])
            self._block()
        return True
""",
                """
        if taken != len(data):
            self._block()
        return True
""",
            ),
        ),
        tests=(_CONNECTION,),
    ),
    Mutant(
        name="stopped-reader-kept-for-ever",
        promise="G6",
        breaks="a reader that takes nothing is never cut off",
        story="The comparison of what the peer has taken is written the wrong way round.",
        edits=(
            Edit(
                "transport/table.py",
                """
        if acked_bytes == blockage.acked_bytes:
            return True
""",
                """
        if acked_bytes != blockage.acked_bytes:
            return True
""",
            ),
        ),
        tests=(_CONNECTION, "tests/transport/test_table_simulated.py"),
    ),
)
