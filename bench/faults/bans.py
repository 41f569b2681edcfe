"""Changes of members under faults: clerks ban and lift bans, and afterwards the log and the members must be what was acked.

A conversation of its own, beside that of the posts. Each clerk has one user id, which it bans, then unbans, then bans again, and
asks for each change again and again until it is acked. A change that is there already changes nothing, so however often a
change was asked for, the log must show an id's changes in turn, as many as were acked, and the members where the last one left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from random import Random
from typing import Final

import attrs
import trio

from .client import Gone, Http, Target

_RETRY_S: Final = (0.02, 0.15)
_THINK_S: Final = 0.05
_DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT})


@attrs.frozen
class Standing:
    """What is stored about bans in one conversation.

    Attributes:
        changes: each change in the order of the log: the id, and whether it was banned then.
        banned: the ids that are banned now.
    """

    changes: tuple[tuple[str, bool], ...]
    banned: frozenset[str]


class Register:
    """What was acked about bans in one conversation, and what was left open.

    Args:
        conversation: where; its owner asks.
    """

    def __init__(self, conversation: str) -> None:
        self.conversation = conversation
        self.stopping = False
        self._acked: dict[str, int] = {}
        self._open: set[str] = set()

    @property
    def acked(self) -> int:
        """Changes acked so far."""
        return sum(self._acked.values())

    @property
    def acked_of(self) -> Mapping[str, int]:
        """The same of each id."""
        return self._acked

    @property
    def open(self) -> frozenset[str]:
        """Ids about which something was asked that has no answer yet."""
        return frozenset(self._open)

    def asks(self, user: str) -> bool:
        """The next change of an id is asked for; says whether that is to ban it."""
        self._open.add(user)
        return self._acked.setdefault(user, 0) % 2 == 0

    def ack(self, user: str) -> None:
        """It was acked."""
        self._acked[user] += 1
        self._open.discard(user)

    def compare(self, found: Standing) -> tuple[str, ...]:
        """Where log and members are not what was acked. Changes without an answer may have happened or not."""
        problems = []
        changes = _by_user(found.changes)
        for user in sorted(changes.keys() | found.banned | self._acked.keys()):
            stored, acked = changes.get(user, []), self._acked.get(user, 0)
            if stored != [place % 2 == 0 for place in range(len(stored))]:
                problems.append(f"{user}: its changes do not take turns: {stored}")
            elif not acked <= len(stored) <= acked + (user in self._open):
                problems.append(f"{user}: {acked} changes were acked, and {len(stored)} are in the log")
            elif (user in found.banned) != (len(stored) % 2 == 1):
                problems.append(f"{user}: its row among the members is not what the log says")
        return tuple(problems)


def _by_user(changes: Iterable[tuple[str, bool]]) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for user, banned in changes:
        found.setdefault(user, []).append(banned)
    return found


async def keep_bans(target: Target, register: Register, user: str, rng: Random) -> None:
    """Ban and unban an id until the register says stop; the change at hand is still settled."""
    http = Http(target)
    path = f"/conversations/{register.conversation}/bans/{user}"
    try:
        while not register.stopping:
            method = "PUT" if register.asks(user) else "DELETE"
            while not await _done(http, method, path):  # noqa: ASYNC110  asks again
                await trio.sleep(rng.uniform(*_RETRY_S))
            register.ack(user)
            await trio.sleep(rng.uniform(0.0, _THINK_S))
    finally:
        http.close()


async def _done(http: Http, method: str, path: str) -> bool:
    try:
        answer = await http.call(method, path)
    except Gone:
        return False
    return answer.status in _DONE
