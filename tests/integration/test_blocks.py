"""A block reaches what is open, and outlives the server: real sockets, a real server on a real Postgres."""

from __future__ import annotations

import asyncio

import pytest

from .processes import Server
from .test_membership import AT_ONCE_S, people, reading

pytestmark = pytest.mark.server


def test_a_block_reaches_open_streams_and_outlives_the_server() -> None:
    """Posts over the open socket are refused when the call has returned; both still read; after a kill it is the same."""
    server = Server()

    async def before() -> tuple[str, str]:
        async with people(server) as there:
            made = await there.call(there.bob, "POST", "", {"kind": "direct", "with": there.ids["ada"]})
            pair = made.json()["id"]
            async with reading(server, there.bob, pair) as bobs:
                post = {"method": "post", "data": {"conversation": pair, "text": "hi"}}
                assert "rpc" in await bobs.socket.ask(rpc=post)
                block = f"/api/v1/blocks/{there.ids['bob']}"
                assert (await there.ada.http.put(block, headers=there.ada.authorization)).status_code == 200
                assert (await bobs.socket.ask(rpc=post))["error"]["code"] == 103
                assert (await there.call(there.bob, "POST", f"/{pair}/messages", {"text": "hi"})).status_code == 403
                async with asyncio.timeout(AT_ONCE_S):
                    assert len((await there.call(there.bob, "GET", f"/{pair}/messages")).json()["messages"]) == 1
                assert bobs.socket.unsubscribed == []
            return pair, there.bob.token

    async def after(pair: str, token: str) -> None:
        async with people(server) as there:
            headers = {"Authorization": f"Bearer {token}"}
            path = f"/api/v1/conversations/{pair}/messages"
            assert (await there.bob.http.get(path, headers=headers)).status_code == 200
            refused = await there.bob.http.post(path, json={"text": "hi"}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")

    try:
        server.start()
        left = asyncio.run(before())
        server.kill()
        server.start()
        asyncio.run(after(*left))
        server.check_log()
    finally:
        server.discard()
