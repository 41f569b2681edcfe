"""Logins with a real, certified OpenID Connect provider, over real sockets, and what attackers try on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
import trio

from hubbub import Engine, MemoryStore
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.live import AccessSettings, Live, LiveSettings
from hubbub.transport.oidc_settings import OidcSettings, ProviderSettings
from hubbub.transport.serve import ServeSettings, serve

from .oidc_site import INSTALLED, WITHIN_S, Browser, Site, browser, provider_site

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not INSTALLED, reason="npm ci in tests/node has not been run"),
]

CLIENT = "hubbub: chat"
SECRET = "a secret: with % and blanks"
ADA = {"name": "Ada Lovelace", "preferred_username": "ada", "email": "ada@example.org", "email_verified": True}
EVE = {"name": "Eve", "preferred_username": "ada", "email": "ada@example.org", "email_verified": False}


@attrs.frozen(eq=False)
class World:
    """A server and a provider that know one another."""

    url: str
    site: Site
    live: Live

    def change(self, **provider: Any) -> None:
        """Change the provider's settings, while the server runs."""
        oidc = self.live.current.oidc
        changed = {"local": attrs.evolve(oidc.providers["local"], **provider)}
        self.live.replace(attrs.evolve(self.live.current, oidc=attrs.evolve(oidc, providers=changed)))


@asynccontextmanager
async def world(way: str = "client_secret_basic") -> AsyncIterator[World]:
    """Both; the server shows its secret in this way."""
    with trio.fail_after(3 * WITHIN_S):
        async with provider_site() as site, Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
            live = Live(LiveSettings(access=AccessSettings(sign_up=SignUp.OPEN)))
            serving = await nursery.start(partial(serve, engine, ServeSettings(port=0), live=live))
            redirect = serving.url + "/api/v1/auth/oidc/local/callback"
            secret = {} if way == "none" else {"client_secret": SECRET}
            known = {"client_id": CLIENT, "redirect_uris": [redirect], "token_endpoint_auth_method": way, **secret}
            await site.set_up(known, {"ada": ADA, "eve": EVE})
            local = ProviderSettings(issuer=site.issuer, client_id=CLIENT, **secret)
            oidc = OidcSettings(public_url=serving.url, providers={"local": local})
            live.replace(attrs.evolve(live.current, oidc=oidc))
            yield World(serving.url, site, live)
            serving.stop.set()


def told(answer: httpx.Response) -> str:
    """Where a login ended, below the server's address."""
    assert answer.status_code == 303, answer.text
    return str(httpx.URL(answer.headers["location"]).raw_path, "ascii")


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
async def test_a_login(way: str) -> None:
    """Authorization code, PKCE, ID token, userinfo, session; a second login finds the same account."""
    async with world(way) as there:
        async with browser(there.url) as ada:
            answer = await ada.log_in("ada", "?return_to=/room%3Fa=b")
            assert told(answer) == "/room?a=b"
            first = await ada.whoami()
            assert first is not None
            assert (first["name"], first["username"]) == ("Ada Lovelace", "ada")
        async with browser(there.url) as again:
            await again.log_in("ada")
            assert await again.whoami() == first
        async with browser(there.url) as eve:
            await eve.log_in("eve")
            found = await eve.whoami()
            assert found is not None
            assert found["id"] != first["id"]
            assert found["username"].startswith("ada-")


async def test_a_client_without_a_secret() -> None:
    """PKCE alone binds the code."""
    async with world("none") as there, browser(there.url) as ada:
        assert told(await ada.log_in("ada")) == "/"
        assert await ada.whoami() is not None


async def test_a_login_that_is_not_allowed() -> None:
    """The person says no at the provider."""
    async with world() as there, browser(there.url) as ada:
        assert told(await ada.log_in("ada", "?return_to=/in", allows=False)) == "/in?login_error=access_denied"
        assert await ada.whoami() is None


async def test_domains_of_addresses() -> None:
    """The address comes from userinfo, and counts where it is verified."""
    async with world() as there:
        there.change(email_domains=("example.org",))
        for login, error in (("ada", "/"), ("eve", "/?login_error=email_refused")):
            async with browser(there.url) as one:
                assert told(await one.log_in(login)) == error


async def test_a_replayed_answer() -> None:
    """By the same browser, by another, and its code in a flow of the thief's own."""
    async with world() as there, browser(there.url) as ada, browser(there.url) as thief:
        back = await ada.leave("ada")
        assert told(await ada.client.get(back)) == "/"
        for one in (ada, thief):
            answer = await one.client.get(back)
            assert (answer.status_code, answer.json()["reason"]) == (403, "unknown_state")
        assert told(await thief.client.get(await swapped(thief, back))) == "/?login_error=invalid_answer"
        assert await thief.whoami() is None


async def swapped(thief: Browser, back: str) -> str:
    """An address of the thief's own flow with the code of another's."""
    own = httpx.URL(await thief.leave("eve"))
    return str(own.copy_set_param("code", httpx.URL(back).params["code"]))


async def test_a_stolen_code() -> None:
    """A code that was not used up yet is bound to its owner's flow by PKCE."""
    async with world() as there, browser(there.url) as ada, browser(there.url) as thief:
        stolen = await ada.leave("ada")
        assert told(await thief.client.get(await swapped(thief, stolen))) == "/?login_error=invalid_answer"
        assert await thief.whoami() is None


async def test_somebody_elses_answer() -> None:
    """An attacker's answer in the victim's browser logs it in as nobody."""
    async with world() as there, browser(there.url) as ada, browser(there.url) as attacker:
        answer = await ada.client.get(await attacker.leave("eve"))
        assert (answer.status_code, answer.json()["reason"]) == (403, "unknown_state")
        assert await ada.whoami() is None


async def test_an_answer_under_another_name() -> None:
    """The provider names itself in its answers, so one without a name, or with another, is not its."""
    async with world() as there, browser(there.url) as ada:
        for change in (
            lambda url: url.copy_remove_param("iss"),
            lambda url: url.copy_set_param("iss", "https://evil.example"),
        ):
            back = httpx.URL(await ada.leave("ada"))
            assert back.params["iss"] == there.site.issuer
            assert told(await ada.client.get(change(back))) == "/?login_error=invalid_answer"


async def test_another_clients_secret() -> None:
    """The provider refuses this server, which is the operator's to mend."""
    async with world() as there, browser(there.url) as ada:
        there.change(client_secret="wrong")
        assert told(await ada.log_in("ada")) == "/?login_error=provider_error"


async def test_a_provider_that_goes_down() -> None:
    """Between the beginning and the end of a login, and before another one."""
    async with world() as there, browser(there.url) as ada:
        back = await ada.leave("ada")
        await there.site.stop()
        assert told(await ada.client.get(back)) == "/?login_error=provider_unavailable"
        assert await ada.whoami() is None


async def test_an_account_links_its_identity() -> None:
    """With a session from user name and password; then the provider's login opens it."""
    async with world() as there, browser(there.url) as ada:
        fields = {"username": "countess", "password": "correct horse battery"}
        answer = await ada.client.post(there.url + "/api/v1/auth/signup", json=fields)
        assert answer.status_code == 201, answer.text
        assert told(await ada.log_in("ada", "?link=true")) == "/"
        async with browser(there.url) as again:
            await again.log_in("ada")
            assert await again.whoami() == await ada.whoami()
            assert (await again.whoami() or {})["username"] == "countess"
