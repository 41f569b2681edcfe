"""Logins with OpenID Connect over the endpoints: the way of a browser, whose account it opens, and every attack on either."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import TokenKind, UserChange
from hubbub.transport.credentials import COOKIE
from hubbub.transport.fetch import Answer
from hubbub.transport.http_message import Response
from hubbub.transport.identity import secret
from hubbub.transport.identity.accounts import FRESH_MS
from hubbub.transport.identity.federation import MAX_IDENTITIES
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.oidc_login import PATH, TURNS
from hubbub.transport.oidc_settings import ProviderSignUp

from .house import head_of
from .oidc_rig import FLOW_COOKIE, HERE, OTHER_ISSUER, Browser, Rig, error_of, location, rig
from .oidc_world import CLIENT, ISSUER
from .tokens import Signer, hs256, unsigned

SESSIONS = "/api/v1/auth/sessions"
IDENTITIES = "/api/v1/auth/identities"


def reason_of(answer: Response) -> tuple[int, str]:
    document = json.loads(answer.body)
    return answer.status, document.get("reason", document["code"])


async def account(there: Rig, username: str = "ada") -> Browser:
    """A browser that is logged in to an account with a password."""
    return there.browser((await there.house.log_in(username)).token)


async def users(there: Rig) -> int:
    return len(await there.house.store.accounts.list_users(after=None, limit=100, guests=False, matching=None))


# -- the way ----------------------------------------------------------------------------------------------------------


async def test_a_login_page_finds_the_providers(autojump_clock: MockClock) -> None:
    """With what people know them by; nothing of how they are set up."""
    async with rig() as there:
        answer = await there.browser().get(PATH)
    assert json.loads(answer.body) == {
        "providers": [
            {"id": "example", "name": "Example", "login_url": PATH + "/example/login"},
            {"id": "other", "name": "other", "login_url": PATH + "/other/login"},
        ]
    }


async def test_a_first_login_makes_an_account_that_later_ones_open(autojump_clock: MockClock) -> None:
    """Whatever the provider calls the person by then; the browser returns to where it began."""
    async with rig() as there:
        ada = there.browser()
        answer = await ada.log_in("u1", "?return_to=/room%3Fa=1%23b", name="Ada", preferred_username="Ada.L")
        assert (answer.status, location(answer)) == (303, HERE + "/room?a=1#b")
        first = await ada.whoami()
        assert first is not None
        assert (first["name"], first["username"], first["role"]) == ("Ada", "ada.l", "member")
        again = there.browser()
        assert error_of(await again.log_in("u1", name="Countess", preferred_username="eve")) == ""
        assert await again.whoami() == first
        assert await users(there) == 1


async def test_the_cookies_of_a_login(autojump_clock: MockClock) -> None:
    """The flow's is Lax and short, the session's Strict; both are out of reach of pages and of http. No cache keeps anything."""
    async with rig() as there:
        browser = there.browser()
        begun = await browser.get(PATH + "/example/login")
        [cookie] = [value for name, value in begun.headers if name == "set-cookie"]
        name, _, attributes = cookie.partition("; ")
        assert name.startswith(FLOW_COOKIE + "=")
        assert attributes == "Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        answer = await browser.come_back(there.site.log_in(location(begun), there.house.engine.now_ms(), "u1"))
        flow, session = (value for name, value in answer.headers if name == "set-cookie")
        assert flow == f"{FLOW_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
        assert session.startswith(COOKIE + "=hbs_")
        assert session.endswith("; HttpOnly; SameSite=Strict; Secure")
        for each in (begun, answer):
            assert ("cache-control", "no-store") in each.headers


async def test_what_the_id_token_leaves_out_is_asked_for(autojump_clock: MockClock) -> None:
    """Some providers tell a name only where they are asked with the access token."""
    async with rig() as there:
        document = json.loads(there.site.metadata) | {"userinfo_endpoint": ISSUER + "/me"}
        there.site.metadata = json.dumps(document).encode()
        there.site.userinfo = Answer(200, b'{"sub":"u1","name":"Ada"}')
        browser = there.browser()
        await browser.log_in("u1")
        assert (await browser.whoami() or {})["name"] == "Ada"
        assert error_of(await there.browser().log_in("u2")) == "invalid_answer"  # it speaks of u1


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/%5Cevil.example", "%2F%2Fevil.example", "/%09/evil.example", "evil",
        "/a%0D%0Aset-cookie:%20a=b", "javascript:alert(1)", "",
    ],
)  # fmt: skip
async def test_no_login_leads_to_another_host(autojump_clock: MockClock, target: str) -> None:
    """An address that could be another host's is refused before anything begins."""
    async with rig() as there:
        answer = await there.browser().get(f"{PATH}/example/login?return_to={target}")
        assert reason_of(answer) == (400, "invalid_request")
        assert not there.site.asked


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nobody/login", 404), ("/nobody/callback", 403), ("/example/login?link=yes", 400), ("/example/callback", 403)],
)
async def test_calls_that_lead_nowhere(autojump_clock: MockClock, path: str, status: int) -> None:
    """An unknown provider, a word that is none, an answer to no question."""
    async with rig() as there:
        assert (await there.browser().get(PATH + path)).status == status


# -- whose account ----------------------------------------------------------------------------------------------------


async def test_nothing_but_the_identity_opens_an_account(autojump_clock: MockClock) -> None:
    """Who has the e-mail address or the user name of somebody, or the same subject elsewhere, is somebody else."""
    async with rig() as there:
        await account(there, "ada")
        mine = {"preferred_username": "ada", "email": "ada@example.org", "email_verified": True, "name": "Ada"}
        eve, other = there.browser(), there.browser()
        assert error_of(await eve.log_in("u1", **mine)) == ""
        url = await other.begin(provider="other")
        back = there.site.log_in(url, there.house.engine.now_ms(), "u1", **mine)
        assert error_of(await other.come_back(back, "other")) == ""
        found = [await eve.whoami(), await other.whoami()]
        assert all(one is not None and one["username"].startswith("ada-") for one in found)
        assert await users(there) == 3


@pytest.mark.parametrize(
    ("server", "provider", "may"),
    [
        (SignUp.OPEN, ProviderSignUp.SERVER, True),
        (SignUp.INVITE, ProviderSignUp.SERVER, False),
        (SignUp.OFF, ProviderSignUp.SERVER, False),
        (SignUp.OFF, ProviderSignUp.OPEN, True),
        (SignUp.OPEN, ProviderSignUp.OFF, False),
    ],
)
async def test_who_may_make_an_account(
    autojump_clock: MockClock, server: SignUp, provider: ProviderSignUp, may: bool
) -> None:
    """The provider's own word, else the server's, where that is open."""
    async with rig(sign_up=server) as there:
        there.change(sign_up=provider)
        assert error_of(await there.browser().log_in("u1")) == ("" if may else "no_account")
        assert await users(there) == int(may)


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"email": "a@example.org", "email_verified": True}, ""),
        ({"email": "a@example.org", "email_verified": False}, "email_refused"),
        ({"email": "a@evil.example", "email_verified": True}, "email_refused"),
        ({}, "email_refused"),
    ],
)
async def test_domains_of_addresses(autojump_clock: MockClock, claims: dict[str, Any], error: str) -> None:
    """Only verified addresses count, at each login: also of one that has an account already."""
    async with rig() as there:
        assert error_of(await there.browser().log_in("u1")) == ""
        there.change(email_domains=("example.org",))
        browser = there.browser()
        assert error_of(await browser.log_in("u1", **claims)) == error
        assert (await browser.whoami() is None) is bool(error)


async def test_a_disabled_account_stays_closed(autojump_clock: MockClock) -> None:
    """And no other one is made for the identity."""
    async with rig() as there:
        browser = there.browser()
        await browser.log_in("u1")
        user = await browser.whoami()
        assert user is not None
        await there.house.api.accounts.change(user["id"], UserChange(disabled=True))
        assert error_of(await there.browser().log_in("u1")) == "account_disabled"
        assert await users(there) == 1


async def test_many_first_logins_at_once_make_one_account(autojump_clock: MockClock) -> None:
    """All of them are logged in to it."""
    async with rig() as there:
        there.site.takes_s = 1.0
        browsers = [there.browser() for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for browser in browsers:
                nursery.start_soon(browser.log_in, "u1")
        found = [await browser.whoami() for browser in browsers]
        assert found[0] is not None
        assert all(one == found[0] for one in found)


# -- attacks ----------------------------------------------------------------------------------------------------------


async def test_an_answer_counts_once(autojump_clock: MockClock) -> None:
    """Replayed by the browser that brought it, or by anybody who has seen it."""
    async with rig() as there:
        browser = there.browser()
        url = await browser.begin()
        kept = dict(browser.cookies)
        fields = there.site.log_in(url, there.house.engine.now_ms(), "u1")
        assert error_of(await browser.come_back(fields)) == ""
        for one in (browser, Browser(there, kept), there.browser()):
            assert reason_of(await one.come_back(fields)) == (403, "unknown_state")
        assert there.site.asked_for("token") == 1


async def test_a_code_counts_once(autojump_clock: MockClock) -> None:
    """A code that was used up cannot be slipped into a flow of one's own."""
    async with rig() as there:
        victim, thief = there.browser(), there.browser()
        url = await victim.begin()
        fields = there.site.log_in(url, there.house.engine.now_ms(), "u1")
        await victim.come_back(fields)
        own = there.site.log_in(await thief.begin(), there.house.engine.now_ms(), "u2")
        assert error_of(await thief.come_back(own | {"code": fields["code"]})) == "invalid_answer"
        assert await thief.whoami() is None


async def test_login_csrf(autojump_clock: MockClock) -> None:
    """An answer of the attacker's flow in the victim's browser logs nobody in, with or without a flow of the victim's own."""
    async with rig() as there:
        attacker, victim = there.browser(), there.browser()
        fields = there.site.log_in(await attacker.begin(), there.house.engine.now_ms(), "evil")
        assert reason_of(await victim.come_back(fields)) == (403, "unknown_state")
        own = await victim.begin()
        assert reason_of(await victim.come_back(fields)) == (403, "unknown_state")
        assert error_of(await victim.come_back(there.site.log_in(own, there.house.engine.now_ms(), "u1"))) == ""


@pytest.mark.parametrize("checks_pkce", [True, False])
async def test_a_stolen_code_in_ones_own_flow(autojump_clock: MockClock, checks_pkce: bool) -> None:
    """The provider misses the verifier; where it does not look, the ID token has another nonce."""
    async with rig() as there:
        there.site.checks_pkce = checks_pkce
        victim, thief = there.browser(), there.browser()
        stolen = there.site.log_in(await victim.begin(), there.house.engine.now_ms(), "u1")
        own = there.site.log_in(await thief.begin(), there.house.engine.now_ms(), "u2")
        assert error_of(await thief.come_back(own | {"code": stolen["code"]})) == "invalid_answer"
        assert await thief.whoami() is None
        assert await users(there) == 0


async def test_mix_up(autojump_clock: MockClock) -> None:
    """The code of an honest provider goes to nobody else: not at another's address, not under another's name."""
    async with rig() as there:
        browser = there.browser()
        fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        assert reason_of(await browser.come_back(fields, "other")) == (403, "unknown_state")
        for issuer in (OTHER_ISSUER, ISSUER + "/", ""):
            fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
            assert error_of(await browser.come_back(fields | {"iss": issuer})) == "invalid_answer"
        fields.pop("iss")
        fields |= there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        fields.pop("iss")
        assert error_of(await browser.come_back(fields)) == "invalid_answer"
        assert there.site.asked_for("token") == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": [CLIENT, "another"]}, {"azp": "another"},
        {"iss": OTHER_ISSUER}, {"exp": 1}, {"exp": None}, {"iat": 9_999_999_999}, {"at_hash": "AAAA"}, {"sub": ""},
    ],
)  # fmt: skip
async def test_id_tokens_of_other_logins(autojump_clock: MockClock, claims: dict[str, Any]) -> None:
    """Another login's, client's or issuer's, or over."""
    async with rig() as there:
        browser = there.browser()
        assert error_of(await browser.log_in("u1", **claims)) == "invalid_answer"
        assert await browser.whoami() is None
        assert await users(there) == 0


SIGNATURES = {
    "none": lambda claims: unsigned({"alg": "none"}, claims) + ".",
    "the secret's": lambda claims: hs256(claims, "the client's secret of more than 32 bytes"),
    "another key's": Signer.ec("k1").sign,
    "no": lambda claims: unsigned({"alg": "ES256", "kid": "k1"}, claims) + ".",
}


@pytest.mark.parametrize("signature", SIGNATURES)
async def test_id_tokens_that_the_provider_did_not_sign(autojump_clock: MockClock, signature: str) -> None:
    """No algorithm, the client's own secret, a key under the same name, no signature."""
    async with rig() as there:
        there.change(client_secret="the client's secret of more than 32 bytes")
        there.site.sign = SIGNATURES[signature]
        assert error_of(await there.browser().log_in("u1")) == "invalid_answer"


async def test_a_login_that_took_too_long(autojump_clock: MockClock) -> None:
    """Has to be begun again."""
    async with rig() as there:
        browser = there.browser()
        fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        there.house.wall.ahead_ms = 600_000
        assert reason_of(await browser.come_back(fields)) == (403, "unknown_state")


async def test_a_login_that_was_not_allowed(autojump_clock: MockClock) -> None:
    """The browser returns to where it began, with the reason; what the provider writes besides is shown nowhere."""
    async with rig() as there:
        browser = there.browser()
        fields = there.site.log_in(await browser.begin("?return_to=/in?a=b"), there.house.engine.now_ms(), "u1")
        fields |= {"error": "access_denied", "error_description": "<script>"}
        answer = await browser.come_back(fields)
        assert location(answer) == HERE + "/in?a=b&login_error=access_denied"


async def test_a_provider_that_was_taken_away_meanwhile(autojump_clock: MockClock) -> None:
    """Or that knows this server by another name now: what was begun with the old one is over."""
    async with rig() as there:
        browser = there.browser()
        fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        there.change(client_id="renamed")
        assert error_of(await browser.come_back(fields)) == "unknown_state"
        fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        live = there.house.api.live
        live.replace(attrs.evolve(live.current, oidc=attrs.evolve(live.current.oidc, providers={})))
        assert error_of(await browser.come_back(fields)) == "unknown_state"


# -- providers that fail ----------------------------------------------------------------------------------------------


async def test_a_provider_that_is_down(autojump_clock: MockClock) -> None:
    """At the beginning, or when it is to take a code: the page hears of it."""
    async with rig() as there:
        there.site.away = True
        answer = await there.browser().get(PATH + "/example/login?return_to=/in")
        assert location(answer) == HERE + "/in?login_error=provider_unavailable"
        there.site.away = False
        await trio.sleep(5)
        browser = there.browser()
        fields = there.site.log_in(await browser.begin(), there.house.engine.now_ms(), "u1")
        there.site.away = True
        assert error_of(await browser.come_back(fields)) == "provider_unavailable"


async def test_a_provider_that_hangs_holds_back_logins_only(autojump_clock: MockClock) -> None:
    """So many wait; one more is told at once, and everything else goes on."""
    async with rig() as there:
        there.site.takes_s = 4.0
        async with trio.open_nursery() as nursery:
            for _ in range(TURNS):
                nursery.start_soon(there.browser().get, PATH + "/example/login")
            await wait_all_tasks_blocked()
            assert error_of(await there.browser().get(PATH + "/example/login")) == "overloaded"
            assert (await there.house.call("GET", "/api/v1/conversations")).status == 200
        assert await there.browser().begin()


# -- linking ----------------------------------------------------------------------------------------------------------


async def identities(browser: Browser) -> list[dict[str, Any]]:
    answer = await browser.get(IDENTITIES)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = json.loads(answer.body)["identities"]
    return found


async def test_an_account_links_an_identity(autojump_clock: MockClock) -> None:
    """From then on it opens the account; the session stays what it was."""
    async with rig(sign_up=SignUp.OFF) as there:
        ada = await account(there)
        session = ada.cookies[COOKIE]
        assert error_of(await ada.log_in("u1", "?link=true")) == ""
        assert ada.cookies[COOKIE] == session
        [known] = await identities(ada)
        assert (known["provider"], known["issuer"]) == ("example", ISSUER)
        other = there.browser()
        assert error_of(await other.log_in("u1")) == ""
        assert await other.whoami() == await ada.whoami()


async def test_a_login_without_the_word_links_nothing(autojump_clock: MockClock) -> None:
    """On a machine that two people share, the second gets an account of his own."""
    async with rig() as there:
        browser = await account(there)
        ada = await browser.whoami()
        assert error_of(await browser.log_in("u1")) == ""
        assert await browser.whoami() != ada


async def test_an_identity_of_another_account_is_not_taken_over(autojump_clock: MockClock) -> None:
    """It goes on to open that one."""
    async with rig() as there:
        eve = there.browser()
        await eve.log_in("u1")
        ada = await account(there)
        assert error_of(await ada.log_in("u1", "?link=true")) == "identity_taken"
        assert await identities(ada) == []


async def test_who_may_not_link(autojump_clock: MockClock) -> None:
    """Nobody without a session, no key, no page of another site."""
    async with rig() as there:
        link = PATH + "/example/login?link=true"
        assert (await there.browser().get(link)).status == 401
        assert (await there.browser("hbs_wrong").get(link)).status == 401
        ada = await account(there)
        for site in ("cross-site", "same-site"):
            assert (await ada.get(link, f"Sec-Fetch-Site: {site}")).status == 403
        assert (await ada.get(link, "Sec-Fetch-Site: same-origin")).status == 302
        issued = await there.house.log_in()
        api = there.house.api
        key = await api.accounts.make_key(
            issued.credential, "k", issued.credential.principal.scopes, None, api.live.current.identity
        )
        answer = await there.house.dispatch(head_of("GET", link, f"Authorization: Bearer {key.token}"))
        assert answer.status == 403


async def test_a_session_that_was_revoked_meanwhile_links_nothing(autojump_clock: MockClock) -> None:
    """A thief who was thrown out does not leave a way in behind."""
    async with rig() as there:
        thief = await account(there)
        fields = there.site.log_in(await thief.begin("?link=true"), there.house.engine.now_ms(), "evil")
        ada = await there.house.log_in()
        await there.house.api.accounts.tokens.end(
            ada.credential.principal.id, kind=TokenKind.SESSION, keep=ada.credential.token_id
        )
        assert error_of(await thief.come_back(fields)) == "unknown_state"
        assert await identities(there.browser(ada.token)) == []


async def test_identities_are_bounded(autojump_clock: MockClock) -> None:
    """One more is refused."""
    async with rig() as there:
        ada = await account(there)
        for number in range(MAX_IDENTITIES):
            assert error_of(await ada.log_in(f"u{number}", "?link=true")) == ""
        assert error_of(await ada.log_in("one more", "?link=true")) == "limit_exceeded"


async def test_a_guest_becomes_an_account(autojump_clock: MockClock) -> None:
    """Under the same id and name; its guest's token is over."""
    async with rig() as there:
        guest = there.browser(there.house.token)
        before = await guest.whoami()
        assert before is not None
        assert error_of(await guest.log_in("u1", "?link=true", name="Somebody", preferred_username="eve")) == ""
        after = await guest.whoami()
        assert after == before | {"kind": "user", "role": ServerRole.MEMBER.value, "username": "eve"}
        assert (await there.house.call("GET", "/api/v1/auth/me")).status == 401


async def test_a_guest_whose_identity_has_an_account_is_logged_in_there(autojump_clock: MockClock) -> None:
    """The guest stays a guest; where nobody may sign up, a guest may not either."""
    async with rig() as there:
        ada, guest = there.browser(), there.browser(there.house.token)
        await ada.log_in("u1")
        assert error_of(await guest.log_in("u1", "?link=true")) == ""
        assert await guest.whoami() == await ada.whoami()
        there.change(sign_up=ProviderSignUp.OFF)
        other = there.browser(there.house.token)
        assert error_of(await other.log_in("u2", "?link=true")) == "no_account"
        assert (await other.whoami() or {})["role"] == "guest"


async def test_the_last_way_in_stays(autojump_clock: MockClock) -> None:
    """An account without a password keeps one identity; one with a password needs none. Others' are out of reach."""
    async with rig() as there:
        ada, eve = there.browser(), await account(there, "eve")
        await ada.log_in("u1")
        await eve.log_in("u2", "?link=true")
        [mine], [hers] = await identities(ada), await identities(eve)

        async def unlink(browser: Browser, identity: dict[str, Any]) -> int:
            head = head_of(
                "DELETE", f"{IDENTITIES}/{identity['id']}", f"Authorization: Bearer {browser.cookies[COOKIE]}"
            )
            return (await there.house.dispatch(head)).status

        assert await unlink(ada, mine) == 409
        assert await unlink(ada, hers) == 404
        assert await unlink(eve, hers) == 204
        assert await identities(eve) == []
        assert error_of(await there.browser().log_in("u2")) == ""  # somebody new


async def test_a_deleted_account_is_not_found_again(autojump_clock: MockClock) -> None:
    """The same person may come back as somebody new."""
    async with rig() as there:
        browser = there.browser()
        await browser.log_in("u1")
        before = await browser.whoami()
        assert before is not None
        await there.house.api.accounts.delete(before["id"])
        assert await browser.whoami() is None
        await browser.log_in("u1")
        assert (await browser.whoami() or {})["id"] != before["id"]


async def test_an_account_without_a_password_is_confirmed_by_a_fresh_login(autojump_clock: MockClock) -> None:
    """To set a password or to close it, one must have logged in just now; a key, or an old session, is not enough."""
    me = "/api/v1/auth/me"
    async with rig() as there:
        browser, api = there.browser(), there.house.api
        await browser.log_in("u1")

        async def change(token: str) -> int:
            body = json.dumps({"password": "correct horse battery", "present_password": ""}).encode()
            head = head_of("PATCH", me, f"Authorization: Bearer {token}", f"Content-Length: {len(body)}")
            return (await there.house.dispatch(head, body)).status

        assert await change(there.house.token) == 403  # a guest has no name to log in with
        there.house.wall.ahead_ms = FRESH_MS + 1_000
        assert await change(browser.cookies[COOKIE]) == 403
        await browser.log_in("u1")
        credential = await api.auth.find(secret.digest(browser.cookies[COOKIE]))
        assert credential is not None
        scopes = credential.principal.scopes
        key = await api.accounts.make_key(credential, "k", scopes, None, api.live.current.identity)
        assert await change(key.token) == 403
        assert await change(browser.cookies[COOKIE]) == 200
        there.house.wall.ahead_ms += FRESH_MS
        assert await change(browser.cookies[COOKIE]) == 403  # now there is one
