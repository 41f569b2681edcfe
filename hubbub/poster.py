"""Posts one message surely: with one idempotency key it tries until it has an answer or runs out of time."""

from __future__ import annotations

from typing import Final

import trio

from .client import Backoff, Client, Message
from .credentials import Identity
from .refusals import Refused, TalkError, Unreachable
from .terminal import Terminal

_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 5.0
_UNAUTHENTICATED: Final = 401
_LIMITED: Final = 429


class Poster:
    """Posts one message.

    Args:
        key: idempotency key; all tries share it, so that the message is there once whatever got lost.
        timeout_s: for all tries together.
    """

    def __init__(
        self, client: Client, identity: Identity, terminal: Terminal, *, conversation: str, key: str, timeout_s: float
    ) -> None:
        self._client = client
        self._identity = identity
        self._terminal = terminal
        self._conversation = conversation
        self._key = key
        self._timeout_s = timeout_s
        self._backoff = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        self._was_limited = False
        self._uncertain = False  # a try may have been committed without our knowing

    async def post(self, text: str) -> Message:
        """Post it; committed when this returns.

        Raises:
            TalkError: refused for good, or time ran out; the text says whether it may have been posted.
        """
        last = "no answer in time"
        with trio.move_on_after(self._timeout_s):
            while True:
                try:
                    return await self._try(text)
                except (Refused, Unreachable) as error:
                    last = _said(error)
                    wait_s = self._wait_s(error)
                    self._say(error, wait_s)
                await trio.sleep(wait_s)
        raise self._given_up(last)

    def _say(self, error: Refused | Unreachable, wait_s: float) -> None:
        """Why and how long is waited. Once also to a log, where the server limits us: nothing is amiss there to be seen."""
        limited = isinstance(error, Refused) and error.status == _LIMITED
        why = (
            f"limited: trying again in {wait_s:.1f} s ({error})"
            if limited
            else f"{error}; trying again in {wait_s:.1f} s"
        )
        self._terminal.state(why, news=limited and not self._was_limited)
        self._was_limited = self._was_limited or limited

    async def _try(self, text: str) -> Message:
        token = await self._identity.token()
        before, self._uncertain = self._uncertain, True
        try:
            return await self._client.post(self._conversation, text, key=self._key, token=token)
        except Unreachable as error:
            self._uncertain = before or error.sent
            raise
        except Refused as error:
            self._uncertain = before or not error.settled
            raise

    def _wait_s(self, error: Refused | Unreachable) -> float:
        if isinstance(error, Unreachable):
            if not error.passing:
                raise TalkError(f"{error}: {self._fate()}") from error
            return self._backoff.next_s()
        if error.passing:
            return self._backoff.next_s(error.retry_after_s)
        # Keys belong to an author: as another guest an uncertain post could be made twice.
        if error.status == _UNAUTHENTICATED and not self._uncertain and self._identity.replace():
            return 0.0
        raise error

    def _given_up(self, last: str) -> TalkError:
        return TalkError(f"no confirmation within {self._timeout_s:g} s ({last}): {self._fate()}")

    def _fate(self) -> str:
        if self._uncertain:
            return f"the message may have been posted; the same command with --key {self._key} settles it"
        return "the message was not posted"


def _said(error: Refused | Unreachable) -> str:
    """An error in words, with how long the server asks to wait."""
    if isinstance(error, Unreachable) or not error.retry_after_s:
        return str(error)
    return f"{error}; the server asked to wait {error.retry_after_s:.1f} s"
