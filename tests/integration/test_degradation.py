"""The real server while its Postgres is frozen, killed, cut off, or dying again and again: what goes on and what is refused.

Figures are printed with `-s`; the bounds asserted here leave room for a busy machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from .journal import Journal, until
from .processes import Server
from .protocol import peer
from .rest import Guest, guest
from .streams import follow_httpx
from .tables import read_tables

pytestmark = pytest.mark.server

ROOM = "degraded"
WAITS_S = 10.0  # a post's deadline
NOTICED_S = 5.0
READ_S = 7.0
BACK_S = 10.0
STOPPED_S = 20.0


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """SIGSTOP all processes of its Postgres for the length of the block."""
    assert server.process is not None
    stopped = [psutil.Process(pid) for pid in server.process.postgres_pids() if pid != server.pid]
    assert stopped
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            if process.is_running():
                process.resume()


async def post(who: Guest, key: str, *, conversation: str = ROOM) -> httpx.Response:
    """Post once; whatever the answer is."""
    path, headers = f"/api/v1/conversations/{conversation}/messages", who.authorization | {"idempotency-key": key}
    return await who.http.post(path, json={"text": f"text of {key}"}, headers=headers)


async def get(who: Guest, path: str) -> httpx.Response:
    """Ask with the guest's token."""
    return await who.http.get(path, headers=who.authorization)


async def timed(call: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    """An answer and how long it took, seconds."""
    began = time.monotonic()
    answer = await call
    return answer, time.monotonic() - began


def refused(answer: httpx.Response, code: str) -> bool:
    """Whether it is a 503 with this code, as documented."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    found: str = answer.json()["code"]
    return found == code


async def ready_becomes(who: Guest, status: int, within_s: float) -> dict[str, Any]:
    """Poll readiness until it has this status; `/health` is 200 all the while."""
    async with asyncio.timeout(within_s):
        while True:
            assert (await who.http.get("/health")).status_code == 200
            answer = await who.http.get("/health/ready")
            if answer.status_code == status:
                found: dict[str, Any] = answer.json()
                return found
            await asyncio.sleep(0.02)


async def acked_again(who: Guest, prefix: str) -> float:
    """Post until one is acknowledged; how long that took, seconds."""
    began = time.monotonic()
    for number in range(10_000):
        if (await post(who, f"{prefix}-{number}")).status_code == 201:
            return time.monotonic() - began
        await asyncio.sleep(0.01)
    raise AssertionError("no post was acknowledged")


# -- frozen ----------------------------------------------------------------------------------------------------------------


def test_frozen_postgres(server: Server) -> None:
    """Reads from the tail, resumes, signals and known tokens go on; all else is refused in time and truthfully, then mended."""
    asyncio.run(_freeze(server))


async def _freeze(server: Server) -> None:
    async with guest(server.url, "Ada") as who, asyncio.TaskGroup() as group:
        await who.create(ROOM)
        for number in range(5):
            assert (await post(who, f"before-{number}")).status_code == 201
        live = Journal("live reader")
        readers = [group.create_task(follow_httpx(who, ROOM, live))]
        await live.reach(5, 5.0)
        with frozen(server):
            posts = [asyncio.create_task(timed(post(who, "sent")))]
            await asyncio.sleep(0.2)
            posts += [asyncio.create_task(timed(post(who, f"queued-{number}"))) for number in range(3)]
            await _check_what_goes_on(who, server)
            await _check_what_is_refused(who)
            unready = await ready_becomes(who, 503, NOTICED_S)
            assert unready["problems"]
            assert unready["since"]
            (sent, took), *queued = [await one for one in posts]
            assert WAITS_S - 1 < took < WAITS_S + 2
            assert refused(sent, "outcome_unknown")
            assert all(refused(answer, "store_unavailable") for answer, _ in queued)
            assert refused((await timed(post(who, "late")))[0], "store_unavailable")
        back_s = await acked_again(who, "after")
        await ready_becomes(who, 200, BACK_S)
        assert back_s < BACK_S
        settled = await post(who, "sent")
        assert settled.status_code == 201
        assert settled.headers["idempotency-replayed"] == "true"
        await asyncio.sleep(1.0)  # time for what must not appear
        tables = await read_tables(server, ROOM)
        tables.check()
        assert {"sent"} <= set(tables.keys)
        assert not {key for key in tables.keys if key.startswith(("queued", "late"))}
        await live.reach(tables.head, 5.0)
        live.check(tables.events)
        print(f"frozen for {took:.1f} s: first ack {back_s:.3f} s after SIGCONT")
        for reader in readers:
            reader.cancel()


async def _check_what_goes_on(who: Guest, server: Server) -> None:
    """Everything that is in memory, at once."""
    for path in ("", "/messages", "/messages?after=2&limit=2", "/presence"):
        answer, took = await timed(get(who, f"/api/v1/conversations/{ROOM}{path}"))
        assert answer.status_code == 200, answer.text
        assert took < 1.0
    assert (await get(who, "/api/v1/auth/me")).status_code == 200
    journal, resumed = Journal("SDK reader"), Journal("resumed stream")
    async with peer(server.websocket_url, who.token, journal) as connection, asyncio.TaskGroup() as group:
        reply = await connection.subscribe(ROOM, 2, (await get(who, f"/api/v1/conversations/{ROOM}")).json()["epoch"])
        assert reply["subscribe"]["recovered"]
        assert [seen.offset for seen in journal.seen] == [3, 4, 5]
        stream = group.create_task(follow_httpx(who, ROOM, resumed))
        await resumed.reach(5, 2.0)
        stream.cancel()
        typing = await who.http.post(f"/api/v1/conversations/{ROOM}/typing", json={}, headers=who.authorization)
        assert typing.status_code == 204
        error = (
            await connection.ask(publish={"channel": ROOM, "data": {"text": "x", "idempotency_key": "queued-ws"}})
        )["error"]
        assert error["temporary"]
        assert error["code"] == 503


async def _check_what_is_refused(who: Guest) -> None:
    """What only Postgres knows, within a bounded time, and at once when it is known to be silent."""
    stranger = {"authorization": "Bearer hbg_nobody"}
    for most_s in (READ_S, READ_S):
        calls = [
            get(who, "/api/v1/conversations"),
            get(who, "/api/v1/conversations/elsewhere"),
            who.http.get("/api/v1/auth/me", headers=stranger),
            who.http.post("/api/v1/auth/guest", json={"name": "Eve"}),
        ]
        for answer, took in await asyncio.gather(*map(timed, calls)):
            assert refused(answer, "store_unavailable"), answer.text
            assert took < most_s


# -- killed, cut off -------------------------------------------------------------------------------------------------------


def test_a_short_absence_is_mended_at_once(server: Server) -> None:
    """kill -9 of Postgres, and its connections ended: posts go on within a moment, and nothing is stored twice."""
    asyncio.run(_absences(server))


async def _absences(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        took = {}
        assert (await post(who, "first")).status_code == 201
        os.kill(server.postgres_pid, signal.SIGKILL)
        took["kill -9"] = await acked_again(who, "killed")
        connection = await asyncpg.connect(host=server.socket_directory, port=5432, user="hubbub", database="hubbub")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'hubbub%'"
        )
        await connection.close()
        took["connections ended"] = await acked_again(who, "cut")
        await ready_becomes(who, 200, BACK_S)
        assert max(took.values()) < BACK_S, took
        (await read_tables(server, ROOM)).check()
        print({what: f"{seconds:.3f} s" for what, seconds in took.items()})


def test_a_postgres_that_dies_again_and_again(server: Server) -> None:
    """The server goes on, says what is wrong, serves what it has in memory, and is mended by a later try."""
    asyncio.run(_dying(server))


async def _dying(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        assert (await post(who, "first")).status_code == 201
        for _ in range(6):
            before = server.postgres_pid
            os.kill(before, signal.SIGKILL)
            await asyncio.sleep(0.1)
            if "tried every" in (await who.http.get("/health/ready")).text:
                break
            await until(lambda before=before: _fresh(server, before), 10.0, "Postgres is started again")  # type: ignore[misc]
        said = await ready_becomes(who, 503, NOTICED_S)
        assert any("tried every 10 s" in problem for problem in said["problems"]), said
        page = await get(who, f"/api/v1/conversations/{ROOM}/messages")
        assert [message["text"] for message in page.json()["messages"]] == ["text of first"]
        await ready_becomes(who, 200, 20.0)
        assert (await post(who, "last")).status_code == 201


def _fresh(server: Server, before: int) -> bool:
    try:
        return server.postgres_pid not in (before, 0) and "ready" in server._postmaster_file()[7]
    except (OSError, IndexError, ValueError):
        return False


# -- stopping --------------------------------------------------------------------------------------------------------------


def test_stopping_while_postgres_is_frozen(server: Server) -> None:
    """SIGTERM ends server and Postgres within one deadline; what was acked is there, what was refused as unsent is not."""
    keys = asyncio.run(_stop_frozen(server))
    server.start()
    stored = asyncio.run(read_tables(server, ROOM))
    stored.check()
    assert keys["acked"] <= set(stored.keys)
    assert not keys["unsent"] & set(stored.keys)


async def _stop_frozen(server: Server) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {"acked": {"one", "two"}, "unsent": set(), "unknown": set()}
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        for key in sorted(keys["acked"]):
            assert (await post(who, key)).status_code == 201
        with frozen(server):
            names = [f"late-{number}" for number in range(5)]
            posts = {names[0]: asyncio.create_task(post(who, names[0]))}
            await asyncio.sleep(0.3)  # it is out by then, alone; the others wait behind it
            posts |= {name: asyncio.create_task(post(who, name)) for name in names[1:]}
            await asyncio.sleep(0.3)
            began = time.monotonic()
            assert server.process is not None
            server.process.terminate()
            for name, task in posts.items():
                keys["unsent" if refused(await task, "store_unavailable") else "unknown"].add(name)
            assert await asyncio.to_thread(server.process.wait, 60.0) == 0
            took = time.monotonic() - began
            assert server.process.postgres_pids() == []
    assert took < STOPPED_S, f"{took:.1f} s"
    assert keys["unsent"]
    assert len(keys["unknown"]) <= 1
    print(f"stopped after {took:.1f} s")
    return keys
