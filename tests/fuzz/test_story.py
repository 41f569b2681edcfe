"""Stories: what three people do in their conversations in any order, against a model and the table of permissions.

The cases of `test_api` are calls by themselves; here each builds on the ones before: a room is made, posted in, read, opened by
an invite, joined, left, and somebody is banned from it. The model knows only who is what; what follows from that is written in
`tests.permission_table`.

Left out: crashes and time (`tests/simulation`), roles besides owner and member (`tests/integration/test_permission_walk.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest
import requests
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ..permission_table import PRIVATE, PUBLIC, read_block
from .callers import House

pytestmark = [pytest.mark.fuzz, pytest.mark.server, pytest.mark.postgres]

_TABLES: Final = {"public": read_block(PUBLIC), "private": read_block(PRIVATE)}
_PEOPLE: Final = st.integers(0, 2)
_ROOMS: Final = "/api/v1/conversations"


@attrs.define
class Room:
    """What the model knows of a conversation.

    Attributes:
        standings: by person, as columns of the table; who is not in it is a stranger.
    """

    id: str
    visibility: str
    standings: dict[int, str]
    texts: list[str] = attrs.field(factory=list)


@attrs.define
class Invite:
    """An invite that was made."""

    room: Room
    token: str
    used: bool = False


class Stories(RuleBasedStateMachine):
    """Three guests and their conversations."""

    house: House
    rooms = Bundle("rooms")
    invites = Bundle("invites")

    @initialize()
    def come(self) -> None:
        """Three people who have never been here."""
        made = [self.house.guest() for _ in range(3)]
        self.ids = [each["user"]["id"] for each in made]
        self.tokens = [{"Authorization": f"Bearer {each['token']}"} for each in made]

    def _do(self, who: int, method: str, path: str, body: object = None) -> requests.Response:
        return self.house.http.request(
            method, self.house.server.url + path, json=body, headers=self.tokens[who], timeout=30
        )

    def _allowed(self, answer: requests.Response, row: str, who: int, room: Room) -> bool:
        """Whether the table lets somebody do this; the answer is what the table says."""
        cell = _TABLES[room.visibility][row][room.standings.get(who, "stranger")]
        told = "ok" if answer.ok else str(answer.status_code)
        assert told == cell, f"{row} by {room.standings.get(who, 'stranger')}: {told}, not {cell}: {answer.text}"
        return answer.ok

    @rule(target=rooms, who=_PEOPLE, visibility=st.sampled_from(sorted(_TABLES)))
    def create(self, who: int, visibility: str) -> Room:
        """Somebody makes a room and owns it."""
        answer = self._do(who, "POST", _ROOMS, {"visibility": visibility})
        assert answer.status_code == 201
        return Room(answer.json()["id"], visibility, {who: "owner"})

    @rule(who=_PEOPLE, room=rooms)
    def post(self, who: int, room: Room) -> None:
        """A message, seen from now on."""
        text = f"message {len(room.texts)}"
        if self._allowed(self._do(who, "POST", f"{_ROOMS}/{room.id}/messages", {"text": text}), "speak", who, room):
            room.texts.append(text)

    @rule(who=_PEOPLE, room=rooms)
    def read(self, who: int, room: Room) -> None:
        """All that was accepted, in order, and nothing else."""
        answer = self._do(who, "GET", f"{_ROOMS}/{room.id}/messages?limit=100")
        if self._allowed(answer, "read", who, room):
            assert [text_of(message) for message in answer.json()["messages"]] == room.texts

    @rule(target=invites, who=_PEOPLE, room=rooms)
    def invite(self, who: int, room: Room) -> Any:
        """Who may bring people in gets a token."""
        answer = self._do(who, "POST", f"{_ROOMS}/{room.id}/invites", {})
        allowed = self._allowed(answer, "bring-in", who, room)
        return Invite(room, answer.json()["token"] if allowed else "hbi_nobody-issued-this", used=not allowed)

    @rule(who=_PEOPLE, invite=invites)
    def accept(self, who: int, invite: Invite) -> None:
        """Good once, for somebody who is neither a member nor banned."""
        room = invite.room
        answer = self._do(who, "POST", f"/api/v1/invites/{invite.token}/accept", {})
        if invite.used:
            assert answer.status_code in (403, 404, 409, 410)
        elif self._allowed(answer, "accept", who, room):
            invite.used = True
            room.standings[who] = "member"

    @rule(who=_PEOPLE, room=rooms)
    def join(self, who: int, room: Room) -> None:
        """A public room is open; who is in it stays what they were."""
        if self._allowed(self._do(who, "POST", f"{_ROOMS}/{room.id}/join", {}), "join", who, room):
            room.standings.setdefault(who, "member")

    @rule(who=_PEOPLE, room=rooms)
    def leave(self, who: int, room: Room) -> None:
        """Members leave; the last owner stays."""
        if room.standings.get(who) == "owner":
            return
        if self._allowed(self._do(who, "POST", f"{_ROOMS}/{room.id}/leave", {}), "leave", who, room):
            del room.standings[who]

    @rule(who=_PEOPLE, whom=_PEOPLE, room=rooms)
    def ban(self, who: int, whom: int, room: Room) -> None:
        """An owner keeps somebody out, whatever they were."""
        if room.standings.get(whom) == "owner":
            return
        if self._allowed(self._do(who, "PUT", f"{_ROOMS}/{room.id}/bans/{self.ids[whom]}", {}), "moderate", who, room):
            room.standings[whom] = "banned"

    @rule(who=_PEOPLE, whom=_PEOPLE, room=rooms)
    def unban(self, who: int, whom: int, room: Room) -> None:
        """Lets in again, and makes no member."""
        if room.standings.get(whom) != "banned":
            return
        if self._allowed(self._do(who, "DELETE", f"{_ROOMS}/{room.id}/bans/{self.ids[whom]}"), "moderate", who, room):
            del room.standings[whom]


def text_of(message: Mapping[str, Any]) -> str:
    """What was said."""
    return str(message["text"])


def test_stories(house: House) -> None:
    """Whatever happened before, everybody gets what the table says for what they are by now."""
    machine = type("Told", (Stories,), {"house": house})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True)
    )
