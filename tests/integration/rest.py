"""A client of the REST calls, on httpx: a guest who makes rooms, posts until acknowledged, and pages through history."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx

from .tables import Seen

RETRY_S = 0.05
RETRIED = frozenset({429, 502, 503})
GIVE_UP_S = 60.0


@attrs.frozen
class Ack:
    """What the server promised about one key.

    Attributes:
        tries: how often it was sent until then.
        replayed: whether the server said that it is the answer to an earlier try.
    """

    key: str
    id: str
    offset: int
    tries: int = 1
    replayed: bool = False


@attrs.frozen
class Guest:
    """A guest with a token."""

    http: httpx.AsyncClient
    token: str

    async def create(self, conversation: str) -> dict[str, Any]:
        """Make a public conversation; return its record."""
        answer = await self.http.post(
            "/api/v1/conversations", json={"id": conversation, "visibility": "public"}, headers=self.authorization
        )
        assert answer.status_code == 201, answer.text
        record: dict[str, Any] = answer.json()
        return record

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token."""
        return {"authorization": f"Bearer {self.token}"}

    async def post(self, conversation: str, key: str, text: str) -> Ack:
        """Post, again and again with the same key, until it is acknowledged.

        Raises:
            AssertionError: an answer that retrying does not mend, or none within `GIVE_UP_S`.
        """
        path, headers = f"/api/v1/conversations/{conversation}/messages", self.authorization | {"idempotency-key": key}
        tries = 0
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                tries += 1
                try:
                    answer = await self.http.post(path, json={"text": text}, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(RETRY_S)
                    continue
                if answer.status_code == 201:
                    body = answer.json()
                    return Ack(key, body["id"], body["offset"], tries, "idempotency-replayed" in answer.headers)
                assert answer.status_code in RETRIED, answer.text
                await asyncio.sleep(RETRY_S)

    async def pages(self, conversation: str, *, limit: int = 100) -> list[Seen]:
        """The whole history, from its beginning, page by page."""
        found: list[Seen] = []
        after: int | None = 0
        while after is not None:
            answer = await self.http.get(
                f"/api/v1/conversations/{conversation}/messages",
                params={"after": after, "limit": limit},
                headers=self.authorization,
            )
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [Seen(row["id"], row["offset"], row["text"]) for row in page["messages"]]
            after = page["next"]
        return found


@asynccontextmanager
async def guest(url: str, name: str, verify: ssl.SSLContext | bool = True) -> AsyncIterator[Guest]:
    """A guest with a connection pool of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=httpx.Timeout(30.0), limits=limits, trust_env=False, verify=verify
    ) as http:
        answer = await http.post("/api/v1/auth/guest", json={"name": name})
        assert answer.status_code == 201, answer.text
        yield Guest(http, answer.json()["token"])
