"""A house with many people in it, whose tokens are their names: for calls whose answer depends on who asks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from hubbub.engine import Author, Principal, Role, Visibility
from hubbub.engine.core.principals import ALL_SCOPES, Scope, ServerRole
from hubbub.transport.auth import Authenticator, Credential
from hubbub.transport.http_message import Response

from .house import House, head_of, house


def person(name: str, role: ServerRole = ServerRole.MEMBER, scopes: frozenset[Scope] = ALL_SCOPES) -> Principal:
    """A principal whose id is the name in lower case."""
    return Principal(Author(name.lower(), name), role=role, scopes=scopes)


@attrs.define
class Directory:
    """People who can be found by id, and what they are known by."""

    known: dict[str, Author] = attrs.field(factory=dict)
    e_mails: dict[str, str] = attrs.field(factory=dict)

    async def find(self, user_id: str) -> Author | None:
        return self.known.get(user_id)

    async def names(self, principal: Principal) -> frozenset[str]:
        return frozenset({principal.id, self.e_mails.get(principal.id, principal.id)})


@attrs.define(eq=False)
class Town:
    """What a test holds.

    Attributes:
        principals: by token.
    """

    house: House
    principals: dict[str, Principal]
    people: Directory

    def has(self, *people: Principal) -> None:
        """Let people call, and be found."""
        for one in people:
            self.principals[one.id] = one
            self.people.known[one.id] = one.author

    async def call(self, who: str, method: str, path: str, body: Any = None) -> Response:
        """One REST request of somebody's."""
        head = head_of(method, path, f"Authorization: Bearer {who}")
        return await self.house.dispatch(head, b"" if body is None else json.dumps(body).encode())

    async def room(self, name: str, visibility: Visibility = Visibility.PRIVATE, **roles: Role) -> None:
        """Ada's, with members."""
        room = await self.house.engine.create(name, owner=self.principals["ada"].author, visibility=visibility)
        for who, role in roles.items():
            await room.members.put(self.principals[who].author, role)


def body(answer: Response) -> Any:
    """The answer's JSON."""
    return json.loads(answer.body)


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    """Ada, Bob, Max and Eve, and Root, who is an admin."""
    async with house() as there:
        principals: dict[str, Principal] = {}

        async def resolve(token: str) -> Credential | None:
            found = principals.get(token)
            return None if found is None else Credential(found, 10**15)

        people = Directory()
        auth = Authenticator(there.store, there.engine.now_ms, there.api.start_soon, resolve)
        there.api = attrs.evolve(there.api, auth=auth, people=people)
        found = Town(there, principals, people)
        found.has(*map(person, ("Ada", "Bob", "Max", "Eve")), person("Root", ServerRole.ADMIN))
        yield found
