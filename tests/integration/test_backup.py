"""A backup taken under a running server, what is restored from it, and clients that know more than it: they are told."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hubbub.operator_token import FILE_NAME

from . import sdk
from .journal import Journal, until
from .processes import Server
from .rest import Guest, guest
from .streams import Cut, RawStream

pytestmark = pytest.mark.server

ROOM = "kept"


def command(*arguments: str | Path) -> str:
    """A command of ours that must succeed; what it prints."""
    words = [sys.executable, "-m", "hubbub", *map(os.fspath, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def resets(server: Server, token: str, after: int, epoch: str) -> list[tuple[str, str]]:
    """What a stream says that resumes there: its first events, with the reason of a reset."""
    stream = await RawStream.open(server.url, token, ROOM, f"?after={after}&epoch={epoch}")
    said: list[tuple[str, str]] = []
    async with asyncio.timeout(10):
        while len(said) < 2:
            said += [(block.event, block.data.get("reason", "")) for block in await stream.blocks()]
    await stream.cut(Cut.RESET)
    return said


async def epoch_of(who: Guest) -> str:
    """The epoch of the room."""
    answer = await who.http.get(f"/api/v1/conversations/{ROOM}", headers=who.authorization)
    return str(answer.json()["epoch"])


def test_a_backup_under_load_is_one_moment(server: Server) -> None:
    """It is taken while 200 posts go on; what is restored is a log without gaps, and goes on from there."""
    asyncio.run(_backup_under_load(server))


async def _backup_under_load(server: Server) -> None:
    file = server.home / "hubbub.dump"
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        first = await who.post(ROOM, "first", "text of first")
        load = asyncio.create_task(_post_on(who, 200))
        told = await asyncio.to_thread(command, "backup", "--data", server.home / "data", file)
        assert told.startswith(f"wrote {file}")
        assert f"the embedded database of {server.home / 'data'}, " in told
        assert re.search(r"[\d,]+ bytes on disk, [\d,]+ rows in \d+ tables$", told.strip())
        await load
        epoch, head = await epoch_of(who), len(await who.pages(ROOM))
        token = who.token
    assert head == 201
    assert server.stop() == 0
    (server.home / "data").rename(server.home / "lost")
    told = await asyncio.to_thread(command, "restore", "--keep-sessions", "--data", server.home / "data", file)
    assert "conversations with a new epoch: " in told
    (server.home / "data" / FILE_NAME).write_text((server.home / "lost" / FILE_NAME).read_text())
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as http:
        again = Guest(http, token)
        rows = await again.pages(ROOM)
        assert [row.offset for row in rows] == list(range(1, len(rows) + 1))
        assert rows[0].id == first.id
        kept = await again.post(ROOM, "first", "text of first")
        assert (kept.id, kept.replayed) == (first.id, True)
        assert (await again.post(ROOM, "next", "text of next")).offset == len(rows) + 1
        assert await epoch_of(again) != epoch
        assert ("stream.reset", "epoch_changed") in await resets(server, token, len(rows), epoch)
        fresh = await resets(server, token, len(rows), await epoch_of(again))
        assert fresh == [("stream.open", ""), ("message.created", "")]


async def _post_on(who: Guest, count: int) -> None:
    for number in range(count):
        await who.post(ROOM, f"load-{number}", f"text {number}")


def test_a_client_that_knows_more_is_told(server: Server) -> None:
    """The stock SDK comes back to the restored server: it was not recovered, and follows what is new."""
    asyncio.run(_client_that_knows_more(server))


async def _client_that_knows_more(server: Server) -> None:
    copy = server.home / "copy"
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        await _post_on(who, 5)
        assert server.stop() == 0
        await asyncio.to_thread(shutil.copytree, server.home / "data", copy)  # by files, of a server that is stopped
        await asyncio.to_thread(_own_as, server.home / "data", copy)
        await asyncio.to_thread(server.start)
        journal = Journal("SDK reader")
        async with sdk.sdk(server.websocket_url, who.token) as client:
            await sdk.follow(client, ROOM, journal)
            await _post_on_more(who, journal)
            assert server.stop() == 0
            (server.home / "data").rename(server.home / "lost")
            copy.rename(server.home / "data")
            await asyncio.to_thread(_restored_by_hand, server.home / "data")
            await asyncio.to_thread(server.start)
            await until(lambda: journal.resets == 1, 30.0, "the reader is told")
            assert journal.resumed == 0
            acked = await who.post(ROOM, "after", "text of after")
            assert acked.offset == 6
            await until(lambda: journal.seen[-1].id == acked.id, 30.0, "the reader sees what is new")


def _restored_by_hand(data: Path) -> None:
    command("migrate", "--restored", "--keep-sessions", "--data", data)


async def _post_on_more(who: Guest, journal: Journal) -> None:
    """Posts after the copy; the reader has seen them."""
    for number in range(3):
        acked = await who.post(ROOM, f"lost-{number}", f"text {number}")
    await journal.reach(acked.offset, 10.0)


def _own_as(source: Path, target: Path) -> None:
    """What `cp -a` does and `copytree` does not: the same owners."""
    for path in [source, *source.rglob("*")]:
        status = path.lstat()
        os.chown(target / path.relative_to(source), status.st_uid, status.st_gid, follow_symlinks=False)


def test_who_was_logged_out_since_the_backup_is_not_let_in_again(server: Server) -> None:
    """Sessions of the backup are over, those that were revoked since and the others; API keys are named, or end when asked."""
    file = server.home / "hubbub.dump"
    operator = {"authorization": f"Bearer {(server.home / 'data' / FILE_NAME).read_text().strip()}"}
    ada = {"username": "ada", "password": "correct horse battery"}
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        http.post("/api/v1/admin/users", json={**ada, "role": "member"}, headers=operator).raise_for_status()
        one, other = (
            {"authorization": f"Bearer {http.post('/api/v1/auth/login', json=ada).json()['token']}"} for _ in range(2)
        )
        key = http.post("/api/v1/auth/keys", json={"label": "stolen"}, headers=one).json()["key"]
        command("backup", "--data", server.home / "data", file)
        assert http.post("/api/v1/auth/logout", headers=other).status_code == 204
    assert server.stop() == 0
    (server.home / "data").rename(server.home / "lost")
    told = json.loads(command("restore", "--json", "--revoke-keys", "--data", server.home / "tried", file))
    assert (told["ended_sessions"], told["ended_keys"], told["keys"]) == (2, 1, [])
    printed = command("restore", "--data", server.home / "data", file)
    assert "sessions ended: 2" in printed
    assert "  ada  read write  stolen" in printed
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        http.cookies.clear()
        statuses = [
            http.get("/api/v1/auth/me", headers=shown).status_code
            for shown in (one, other, {"authorization": f"Bearer {key}"})
        ]
        assert statuses == [401, 401, 200]
        assert http.post("/api/v1/auth/login", json=ada).status_code == 200


def test_what_is_not_empty_is_not_overwritten(server: Server) -> None:
    """Neither the database of a running server, nor one that holds rooms, nor a file that exists."""
    file = server.home / "hubbub.dump"
    where = ["--data", str(server.home / "data")]
    command("backup", *where, file)
    for words, why in (
        (["restore", *where, str(file)], "stop it first"),
        (["backup", *where, str(file)], "is there already"),
    ):
        assert why in _refused(*words)
    server.stop()
    assert "not empty" in _refused("restore", *where, str(file))
    server.start()


def _refused(*arguments: str) -> str:
    words = [sys.executable, "-m", "hubbub", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr
