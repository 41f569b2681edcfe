"""What Postgres holds of a conversation, read past the server, over the socket of the embedded Postgres."""

from __future__ import annotations

from typing import NamedTuple

import asyncpg
import attrs

from .processes import Server

_EVENTS = """
select id::text, "offset", body->>'text' from events
where conversation = $1 and type = 'message.created' order by "offset"
"""
_MESSAGES = 'select id::text, "offset", text from messages where conversation = $1 order by "offset"'
_KEYS = 'select key, id::text, "offset" from keys where conversation = $1 order by "offset"'
_HEAD = "select head, epoch from conversations where id = $1"


class Seen(NamedTuple):
    """A message as every reader must show it."""

    id: str
    offset: int
    text: str


@attrs.frozen
class Tables:
    """The rows of one conversation, in the order of their offsets.

    Attributes:
        keys: idempotency key to the id and offset of its message.
    """

    epoch: str
    head: int
    events: list[Seen]
    messages: list[Seen]
    keys: dict[str, tuple[str, int]]

    def check(self) -> None:
        """The log is gapless, and the tables beside it say the same."""
        assert [row.offset for row in self.events] == list(range(1, self.head + 1)), "offsets have a gap"
        assert self.messages == self.events, "messages and events differ"


async def read_tables(server: Server, conversation: str) -> Tables:
    """Read one conversation. All of it must be message events."""
    connection = await asyncpg.connect(
        host=server.socket_directory, port=5432, user="hubbub", database="hubbub", timeout=10
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchrow(_HEAD, conversation)
            events = await connection.fetch(_EVENTS, conversation)
            messages = await connection.fetch(_MESSAGES, conversation)
            keys = await connection.fetch(_KEYS, conversation)
    finally:
        await connection.close()
    assert head is not None, "no such conversation"
    return Tables(
        head["epoch"],
        head["head"],
        [Seen(*row) for row in events],
        [Seen(*row) for row in messages],
        {row["key"]: (row["id"], row["offset"]) for row in keys},
    )
