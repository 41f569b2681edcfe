"""Accounts on a real server and a real Postgres: the first administrator, cookies, keys, and what a thief of the disk finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..serverproc import ServerProcess, data_folder, running_server, wait_until

pytestmark = pytest.mark.server

PASSWORD = "correct horse battery staple"
LINK = re.compile(r"make the first administrator, once: (http://\S+)/setup#(hbu_\S+)")


@pytest.fixture
def data() -> Iterator[Path]:
    """An empty data directory."""
    with data_folder() as folder:
        yield folder


def setup_token(server: ServerProcess) -> str:
    """The one that the server has printed."""
    wait_until(lambda: LINK.search(server.output()) is not None, "the link is printed")
    found = LINK.findall(server.output())
    assert found[-1][0] == server.url
    return str(found[-1][1])


def set_up(server: ServerProcess, client: httpx.Client) -> httpx.Response:
    """Make the first administrator."""
    body = {"token": setup_token(server), "username": "root", "password": PASSWORD}
    return client.post("/api/v1/setup", json=body)


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def test_the_first_administrator(data: Path) -> None:
    """Made once, with the printed link, which is another one after a restart and gone when it was used."""
    with running_server(data, guests=False) as server, httpx.Client(base_url=server.url) as client:
        first = setup_token(server)
    with running_server(data, guests=False) as server, httpx.Client(base_url=server.url) as client:
        assert setup_token(server) != first
        body = {"username": "root", "password": PASSWORD}
        assert client.post("/api/v1/setup", json={**body, "token": first}).status_code == 403
        made = set_up(server, client)
        assert (made.status_code, made.json()["user"]["role"]) == (201, "admin")
        assert set_up(server, client).status_code == 409
        # By the cookie that came: whoever set the server up has a room to go to.
        assert client.get("/api/v1/conversations/lobby").json()["title"] == "Lobby"
    with running_server(data, guests=False) as server, httpx.Client(base_url=server.url) as client:
        assert len(LINK.findall(server.output())) == 2
        assert client.post("/api/v1/setup", json={**body, "token": first}).status_code == 409
        assert client.get("/api/v1/auth/me", headers=bearer(made.json()["token"])).json()["user"]["username"] == "root"


def test_a_browser_shows_the_csrf_token_of_its_own_session(data: Path) -> None:
    """The cookie alone changes nothing; another session's token, an empty and a cut one neither; reading needs none."""
    with running_server(data) as server, httpx.Client(base_url=server.url) as browser:
        made = set_up(server, browser).json()
        origin = {"origin": server.url}
        other = httpx.post(f"{server.url}/api/v1/auth/guest", json={"name": "Eve"}).json()["csrf_token"]
        room = {"id": "den", "title": "The den"}
        own = made["csrf_token"]
        for wrong in (None, "", other, own[:-1], own + "x", made["token"]):
            headers = origin if wrong is None else {**origin, "x-csrf-token": wrong}
            answer = browser.post("/api/v1/conversations", json=room, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert browser.get("/api/v1/conversations/den").status_code == 404
        assert browser.get("/api/v1/auth/session").json()["csrf_token"] == own
        headers = {**origin, "x-csrf-token": own}
        assert browser.post("/api/v1/conversations", json=room, headers=headers).status_code == 201
        assert browser.post("/api/v1/auth/logout", headers=headers).status_code == 204
        assert "hubbub_session" not in browser.cookies
        assert browser.get("/api/v1/auth/session").json() == {"user": None}
        assert httpx.get(f"{server.url}/api/v1/auth/me", headers=bearer(made["token"])).status_code == 401


def test_a_key_in_each_of_its_headers(data: Path) -> None:
    """Within its scopes, until it is revoked; it never makes a key that may do more."""
    with running_server(data) as server, httpx.Client(base_url=server.url) as client:
        session = bearer(set_up(server, client).json()["token"])
        client.cookies.clear()
        asked = {"label": "ci", "scopes": ["read", "account"]}
        made = client.post("/api/v1/auth/keys", json=asked, headers=session).json()
        key = made["key"]
        for headers in (bearer(key), {"x-api-key": key}, {"x-goog-api-key": key}):
            assert client.get("/api/v1/conversations", headers=headers).status_code == 200
            assert client.post("/api/v1/conversations", json={}, headers=headers).status_code == 403
        stronger = {"scopes": ["read", "write"]}
        assert client.post("/api/v1/auth/keys", json=stronger, headers=bearer(key)).status_code == 403
        [listed] = client.get("/api/v1/auth/keys", headers=session).json()["keys"]
        assert key not in str(listed)
        assert client.delete(f"/api/v1/auth/keys/{made['id']}", headers=session).status_code == 204
        for headers in (bearer(key), {"x-api-key": key}, {"x-goog-api-key": key}):
            assert client.get("/api/v1/conversations", headers=headers).status_code == 401


def test_session_tokens_are_stored_in_plain_text(data: Path) -> None:
    """They are not, nor is any other secret: no file of the database, of its log or of the server's log holds one."""
    with running_server(data, "--log-level", "debug") as server, httpx.Client(base_url=server.url) as client:
        admin = set_up(server, client).json()
        client.cookies.clear()
        session = bearer(admin["token"])
        guest = client.post("/api/v1/auth/guest", json={"name": "Eve"}).json()
        client.cookies.clear()
        login = client.post("/api/v1/auth/login", json={"username": "root", "password": PASSWORD}).json()
        client.cookies.clear()
        refreshed = client.post("/api/v1/auth/refresh", headers=bearer(login["token"])).json()
        client.cookies.clear()
        wrong = "wrong horse battery staple"
        assert client.post("/api/v1/auth/login", json={"username": "root", "password": wrong}).status_code == 401
        assert client.post("/api/v1/auth/login", json={"username": "root\x00", "password": wrong}).status_code == 401
        key = client.post("/api/v1/auth/keys", json={}, headers=session).json()
        rotated = client.post(f"/api/v1/auth/keys/{key['id']}/rotate", headers=session).json()
        invitation = client.post("/api/v1/admin/invitations", headers=session).json()["invitation"]
        secrets = [PASSWORD, wrong, key["key"], rotated["key"], invitation]
        secrets += [one[name] for one in (admin, guest, login, refreshed) for name in ("token", "csrf_token")]
        setup = setup_token(server)
        output = LINK.sub("", server.output())
        server.terminate()
        assert server.wait() == 0
    files = [path for path in data.rglob("*") if path.is_file() and path.name != "operator-token"]
    kept = [path.read_bytes() for path in files]
    assert any(b"$argon2id$v=19$" in content for content in kept), "the database was looked at"
    for secret in secrets:
        assert secret not in output
    for secret in (*secrets, setup):
        found = [path.name for path, content in zip(files, kept, strict=True) if secret.encode() in content]
        assert found == [], "a secret lies on the disk"
