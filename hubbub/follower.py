"""Follows a conversation: shows each message once and in order, whatever happens to connections and servers.

The position moves only after a message was shown, and every new connection resumes from it. What a stream cannot give is
fetched by REST. It ends when the server refuses for good, or after the asked number of messages.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from .client import Backoff, Client, Message
from .credentials import Identity
from .refusals import Refused, TalkError, Unreachable
from .stream_reader import StreamReader, StreamTooLong
from .terminal import Terminal
from .timeline import Due, Ended, Missing, Opened, Passed, Replaced, Rewound, Step, Timeline

_HTTP_UNAUTHORIZED: Final = 401
_HTTP_GONE: Final = 410


@attrs.frozen(kw_only=True)
class Pace:
    """How long to wait before connecting again.

    Attributes:
        first_s: the longest first wait, until the server names its own.
        most_s: the longest wait of all.
    """

    first_s: float = 1.0
    most_s: float = 5.0


class _Enough(Exception):
    """The asked number of messages was shown."""


class Follower:
    """Follows one conversation.

    Args:
        after: offset to start after, or None to start with what happens from now on.
        count: end after this many messages, or None to go on for ever.
        again: show all of a history that has taken the place of the one that was followed, as after a restore.
    """

    def __init__(
        self,
        client: Client,
        identity: Identity,
        terminal: Terminal,
        *,
        conversation: str,
        after: int | None,
        count: int | None = None,
        again: bool = False,
        pace: Pace | None = None,
    ) -> None:
        pace = pace or Pace()
        self._client = client
        self._identity = identity
        self._terminal = terminal
        self._conversation = conversation
        self._timeline = Timeline(after, again=again)
        self._left = count
        self._backoff = Backoff(pace.first_s, pace.most_s)
        self._was_open = False
        self._is_away = False

    async def run(self) -> None:
        """Follow until the asked number of messages was shown. Cancelling it loses nothing that was shown.

        Raises:
            TalkError: the server refuses for good, or is none.
            BrokenPipeError: nobody reads the output any more.
        """
        try:
            while True:
                at_least_s = None
                try:
                    why = await self._connect()
                except Unreachable as error:
                    if (
                        not error.passing and not self._was_open
                    ):  # one that was followed before is being renewed, perhaps
                        raise
                    why = str(error)
                except Refused as error:
                    if error.status == _HTTP_UNAUTHORIZED and self._identity.replace():
                        continue
                    if not error.passing:
                        raise
                    why, at_least_s = str(error), error.retry_after_s
                await self._pause(why, at_least_s)
        except _Enough:
            return

    async def _pause(self, why: str, at_least_s: float | None) -> None:
        wait_s = self._backoff.next_s(at_least_s)
        self._terminal.state(f"{why}; trying again in {wait_s:.1f} s", news=not self._is_away)
        self._is_away = True
        await trio.sleep(wait_s)

    async def _connect(self) -> str:
        """Follow until this connection ends; returns why it did."""
        token = await self._identity.token()
        reader, why = StreamReader(), "the connection was closed"
        async with self._client.events(self._conversation, self._timeline.since, token=token) as chunks:
            async for chunk in chunks:
                try:
                    for event in reader.feed(chunk):
                        for step in self._timeline.take(event):
                            why = await self._carry_out(step, token) or why
                except StreamTooLong as error:
                    raise TalkError(str(error)) from error
                if reader.retry_s is not None:
                    self._backoff.first_s = reader.retry_s
        return why

    async def _carry_out(self, step: Step, token: str) -> str | None:
        """Do what a step says; returns the reason where it ends the stream."""
        match step:
            case Opened(offset):
                self._backoff.reset()
                again = "again " if self._was_open else ""
                self._terminal.state(f"following {self._conversation} {again}after offset {offset}", news=self._is_away)
                self._was_open, self._is_away = True, False
            case Due(message):
                self._show(message)
            case Passed(offset):
                self._timeline.seen(offset)
            case Missing(upto, reason):
                await self._fetch(upto, reason, token)
            case Rewound(was, offset):
                self._terminal.warn(f"the log ends at offset {offset}, before {was}: going on with what comes now")
            case Replaced(was, offset):
                self._terminal.warn(
                    f"the history of {self._conversation} was replaced at the server, as by a restore (you were at offset {was}):"
                    f" going on with what comes after offset {offset}; --all shows all of it"
                )
            case Ended(code):
                return f"the server ended the stream ({code})"
        return None

    async def _fetch(self, upto: int, reason: str, token: str) -> None:
        after = self._timeline.offset
        said = reason.replace("_", " ")
        self._terminal.warn(f"the stream was reset ({said}): fetching what lies between {after} and {upto}")
        following: int | None = after
        while following is not None and following < upto:
            try:
                page = await self._client.page(self._conversation, after=following, token=token)
            except Refused as error:
                if error.status != _HTTP_GONE:
                    raise
                self._terminal.warn(f"messages after offset {following} are no longer kept: {error}")
                break
            for message in page.messages:
                if message.offset <= upto:
                    self._show(message)
            following = page.next if page.next is None or page.next > following else None
        self._timeline.seen(upto)

    def _show(self, message: Message) -> None:
        self._terminal.show(message)
        self._timeline.seen(message.offset)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                raise _Enough
