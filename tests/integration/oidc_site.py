"""A real OpenID Connect provider (`tests/node/provider.mjs`), and a browser that fills in its forms."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import attrs
import httpx
import trio

from .node import HERE

INSTALLED = shutil.which("node") is not None and (HERE / "node_modules" / "oidc-provider").is_dir()
WITHIN_S = 30.0
_HOPS = 12
_FORM = re.compile(r'<form[^>]* action="([^"]+)"')
_ABORT = re.compile(r'<a href="([^"]+/abort)"')


@attrs.define(eq=False)
class Site:
    """The provider.

    Attributes:
        issuer: its issuer.
    """

    issuer: str
    _process: trio.Process
    _lines: trio.abc.ReceiveStream

    async def set_up(self, client: dict[str, Any], users: dict[str, dict[str, Any]]) -> None:
        """Tell it whom it knows: the one client, and claims by the name that somebody logs in with."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"client": client, "users": users}).encode() + b"\n")
        assert await _line(self._lines) == {"ready": True}

    async def stop(self) -> None:
        """End it."""
        self._process.kill()
        await self._process.wait()


async def _line(stream: trio.abc.ReceiveStream) -> Any:
    data = b""
    with trio.fail_after(WITHIN_S):
        while not data.endswith(b"\n"):
            piece = await stream.receive_some()
            assert piece, "the provider has ended"
            data += piece
    return json.loads(data)


@asynccontextmanager
async def provider_site() -> AsyncIterator[Site]:
    """The provider, for as long as the context is open."""
    process = await trio.lowlevel.open_process(
        ["node", str(HERE / "provider.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        site = Site((await _line(process.stdout))["issuer"], process, process.stdout)
        try:
            yield site
        finally:
            with trio.CancelScope(shield=True):
                await site.stop()


@attrs.frozen(eq=False)
class Browser:
    """Follows redirects and keeps cookies.

    Attributes:
        home: the server's address.
    """

    home: str
    client: httpx.AsyncClient

    async def log_in(self, login: str, query: str = "", *, allows: bool = True) -> httpx.Response:
        """The whole way; gives the answer of the callback."""
        return await self.client.get(await self.leave(login, query, allows=allows))

    async def leave(self, login: str, query: str = "", *, allows: bool = True) -> str:
        """Log in at the provider; gives the address that it sends the browser back to, which is not asked for yet."""
        answer = await self.client.get(f"{self.home}/api/v1/auth/oidc/local/login{query}")
        for _ in range(_HOPS):
            if answer.is_redirect:
                url = urljoin(str(answer.url), answer.headers["location"])
                if url.startswith(self.home):
                    return url
                answer = await self.client.get(url)
            else:
                answer = await self._fill_in(answer, login, allows=allows)
        raise AssertionError(f"it leads nowhere: {answer.url}")

    async def _fill_in(self, page: httpx.Response, login: str, *, allows: bool) -> httpx.Response:
        assert page.status_code == 200, page.text
        if not allows:
            abort = _ABORT.search(page.text)
            assert abort is not None, page.text
            return await self.client.get(urljoin(str(page.url), abort[1]))
        form = _FORM.search(page.text)
        assert form is not None, page.text
        prompt = "login" if 'name="login"' in page.text else "consent"
        fields = {"prompt": prompt, "login": login, "password": "any"}
        return await self.client.post(urljoin(str(page.url), form[1]), data=fields)

    async def whoami(self) -> dict[str, Any] | None:
        """Whom the session cookie stands for."""
        answer = await self.client.get(self.home + "/api/v1/auth/session")
        user: dict[str, Any] | None = answer.json()["user"]
        return user


@asynccontextmanager
async def browser(home: str) -> AsyncIterator[Browser]:
    """A browser without cookies."""
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=WITHIN_S) as client:
        yield Browser(home, client)
