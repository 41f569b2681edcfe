"""Getting in, staying in and being thrown out, in a real Chromium against the real server.

The page's rules without a browser are tested in `tests/page`, the calls in `tests/integration/test_identity.py`.
"""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from ..serverproc import ServerProcess, wait_until
from .conftest import Starter

pytestmark = [pytest.mark.browser, pytest.mark.server]

expect.set_options(timeout=20_000)
PASSWORD = "correct horse battery staple"
AT_ONCE_MS = 1_000
LINK = re.compile(r"make the first administrator, once: (http://\S+/setup#hbu_\S+)")
TRY_IT = """async ({method, path, shown}) => {
  const headers = {"content-type": "application/json"};
  if (shown !== null) headers["x-csrf-token"] = shown;
  const answer = await fetch("/api/v1/" + path, {method, headers, body: method === "GET" ? undefined : "{}"});
  return {status: answer.status, body: await answer.json().catch(() => null)};
}"""


def setup_link(server: ServerProcess) -> str:
    """The one that the server has printed."""
    wait_until(lambda: LINK.search(server.output()) is not None, "the link is printed")
    return LINK.findall(server.output())[-1]


def set_up(page: Page, link: str, *, username: str = "root", password: str = PASSWORD) -> None:
    """Follow the link and fill the form in."""
    page.goto(link)
    fill_in(page, username, password)


def fill_in(page: Page, username: str, password: str) -> None:
    """Send the form of the setup page."""
    page.fill("#username", username)
    page.fill("#password", password)
    page.fill("#again", password)
    page.click("button[type=submit]")


def sign_up(page: Page, username: str) -> None:
    """Make an account from the card, and wait for the room."""
    page.locator("#ways >> text=Create an account").click()
    page.fill("#signup-username", username)
    page.fill("#signup-password", PASSWORD)
    page.fill("#signup-again", PASSWORD)
    page.click("#signup-form button[type=submit]")
    live(page)


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Sign in from the card; does not wait for what comes of it."""
    page.fill("#login-username", username)
    page.fill("#login-password", password)
    page.click("#login-form button[type=submit]")


def live(page: Page) -> None:
    page.wait_for_selector("#status[data-state=live]")


def call(page: Page, method: str, path: str, shown: str | None = None) -> dict[str, object]:
    """A call from a script of the page, with the cookie that the browser adds and the CSRF token that is given."""
    answer: dict[str, object] = page.evaluate(TRY_IT, {"method": method, "path": path, "shown": shown})
    return answer


def csrf_of(page: Page) -> str:
    return str(page.evaluate("fetch('/api/v1/auth/session').then((it) => it.json()).then((it) => it.csrf_token)"))


def expect_no_secret(page: Page) -> None:
    """No token of a session is where a script could read it."""
    kept = page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
    assert "hbs_" not in kept
    assert "hbg_" not in kept
    assert "hbu_" not in kept


def test_the_setup_link_makes_the_first_administrator(start: Starter) -> None:
    """Once, from the printed link, whose token leaves the address bar; what is wrong is said, and the room follows."""
    server, windows = start(guests=False)
    assert "ready at" in server.output()
    assert "(accounts only)" in server.output()
    link = setup_link(server)
    page, late = windows.open(), windows.open()
    for each in (page, late):
        each.goto(link)
    expect(page).to_have_url(f"{server.url}/setup")
    expect(page.locator("#username")).to_be_focused()
    expect(page.locator("#token-part")).to_be_hidden()
    page.fill("#username", "root")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD + "x")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("The two passwords differ.")
    expect(page.locator("#again")).to_be_focused()
    for field in ("#password", "#again"):
        page.fill(field, "password")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("This password is among the first that anybody would try.")
    set_up(page, link)
    live(page)
    expect(page).to_have_url(server.url + "/")
    expect(page.locator("#me-name")).to_have_text("root")
    expect_no_secret(page)
    fill_in(late, "eve", PASSWORD)
    expect(late.get_by_role("alert")).to_have_text("This server is set up already.")
    late.goto("about:blank")
    late.goto(link)
    expect(late.get_by_role("heading")).to_have_text("This server is set up already")
    expect(late.locator("#setup-form")).to_be_hidden()
    expect(late.get_by_role("link", name="Sign in")).to_be_focused()
    late.keyboard.press("Enter")
    expect(late.locator("#login-form")).to_be_visible()


def test_a_setup_page_without_its_token_asks_for_it(start: Starter) -> None:
    """A wrong token is told with where the right one stands; typed by hand it works."""
    server, windows = start(guests=False)
    page = windows.open()
    page.goto(server.url + "/setup")
    expect(page.locator("#token")).to_be_focused()
    page.fill("#token", "hbu_wrong")
    for field, text in (("#username", "root"), ("#password", PASSWORD), ("#again", PASSWORD)):
        page.fill(field, text)
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("Each start of the server prints another link")
    page.fill("#token", setup_link(server).partition("#")[2])
    page.click("button[type=submit]")
    live(page)


@pytest.mark.parametrize(
    ("guests", "policy", "ways"),
    [
        (False, "off", []),
        (True, "off", ["Sign in"]),
        (False, "open", ["Create an account"]),
        (True, "invite", ["Sign in", "Create an account"]),
    ],
)
def test_what_is_offered_follows_the_settings(start: Starter, guests: bool, policy: str, ways: list[str]) -> None:
    """Guests, sign-up and invitations are offered where they are possible, and not elsewhere."""
    _, windows = start(guests=guests, access__sign_up=policy)
    page = windows.open()
    first = page.locator("#guest-form" if guests else "#login-form")
    expect(first).to_be_visible()
    expect(page.locator("#ways button")).to_have_text(ways)
    if policy != "off":
        page.locator("#ways >> text=Create an account").click()
        expect(page.locator("#signup-invitation")).to_be_visible(visible=policy == "invite")
        expect(page.locator("#signup-username")).to_be_focused()


def test_sign_up_sign_out_and_sign_in(start: Starter) -> None:
    """By cookie alone; wrong passwords and taken names are told; whoever signs out leaves nothing behind."""
    _, windows = start(access__sign_up="open")
    page = windows.open()
    sign_up(page, "ada")
    expect_no_secret(page)
    page.reload()
    live(page)
    page.fill("#text", "a draft that nobody else is to see")
    page.click("#me")
    page.click("#account-leave")
    expect(page.locator("#guest-form")).to_be_visible()
    expect(page.locator("#text")).to_have_value("")
    assert call(page, "GET", "auth/me")["status"] == 401
    page.locator("#ways >> text=Sign in").click()
    sign_in(page, "ada", "wrong")
    expect(page.locator("#login-form .error")).to_have_text("User name or password is wrong.")
    sign_in(page, "ada")
    live(page)
    other = windows.open()
    other.locator("#ways >> text=Create an account").click()
    for field, text in (("#signup-username", "Ada"), ("#signup-password", PASSWORD), ("#signup-again", PASSWORD)):
        other.fill(field, text)
    other.click("#signup-form button[type=submit]")
    expect(other.locator("#signup-form .error")).to_have_text("This user name is taken.")


def test_a_cookie_changes_nothing_without_the_csrf_token(start: Starter) -> None:
    """Neither alone nor with a former session's token; the page itself goes on after a login in another tab."""
    _, windows = start(access__sign_up="open")
    page = windows.open()
    sign_up(page, "ada")
    former = csrf_of(page)
    for shown in (None, "", former[:-1]):
        answer = call(page, "POST", "conversations", shown)
        assert answer["status"] == 403
        assert isinstance(answer["body"], dict)
        assert answer["body"]["code"] == "forbidden"
    assert call(page, "POST", "conversations", former)["status"] == 201
    tab = page.context.new_page()
    tab.goto(windows.url)
    live(tab)
    login = "(body) => fetch('/api/v1/auth/login', {method: 'POST', body}).then((it) => it.status)"
    assert tab.evaluate(login, f'{{"username":"ada","password":"{PASSWORD}"}}') == 200
    assert call(page, "POST", "conversations", former)["status"] == 403
    page.click("#me")
    page.fill("#rename-name", "Ada L.")
    page.click("#rename-form button")
    expect(page.locator("#rename-form .error")).to_contain_text("Saved.")
    expect(page.locator("#me-name")).to_have_text("Ada L.")


def test_a_session_that_is_revoked_elsewhere_ends_within_a_second(start: Starter) -> None:
    """The page says so and offers to sign in again, with the name filled in; what was not sent yet is kept."""
    _, windows = start(access__sign_up="open")
    here, there = windows.open(), windows.open()
    sign_up(here, "ada")
    here.click("#me")
    there.locator("#ways >> text=Sign in").click()
    sign_in(there, "ada")
    live(there)
    there.fill("#text", "not sent yet")
    there.click("#people")
    here.keyboard.press("Escape")
    here.click("#me")
    expect(here.locator("#sessions li")).to_have_count(2)
    end = here.get_by_role("button", name=re.compile("^End: session Chrome"))
    end.focus()
    here.keyboard.press("Enter")
    expect(here.get_by_role("button", name=re.compile("^Really end"))).to_be_focused()
    here.keyboard.press("Enter")
    expect(there.locator("#login-form")).to_be_visible(timeout=AT_ONCE_MS)
    expect(there.locator("#join-lead")).to_contain_text("Your session was ended from elsewhere. Sign in again")
    expect(there.locator("#members")).to_be_hidden()
    expect(there.locator("#login-username")).to_have_value("ada")
    expect(there.locator("#login-password")).to_be_focused()
    expect(here.locator("#sessions li")).to_have_count(1)
    there.fill("#login-password", PASSWORD)
    there.keyboard.press("Enter")
    live(there)
    expect(there.locator("#text")).to_have_value("not sent yet")
    live(here)


def test_a_session_that_expires_is_told(start: Starter) -> None:
    """The server ends it in time, and the page says that it has expired."""
    server, windows = start(guests=True, access__sign_up="open", identity__guest_s="60")
    page = windows.join("Ada")
    shown = page.context.cookies()
    assert [one["name"] for one in shown] == ["hubbub_session"]
    assert server.url
    expect(page.locator("#guest-form")).to_be_visible(timeout=75_000)
    expect(page.locator("#join-lead")).to_contain_text("Your session has expired. Pick a name")


def test_a_session_that_is_over_when_the_page_opens_is_told(start: Starter) -> None:
    """Once, on the card, with the name filled in; whoever has signed out knows it, and is told nothing."""
    _, windows = start(access__sign_up="open")
    page, left = windows.open(), windows.open()
    sign_up(page, "ada")
    page.context.clear_cookies()
    page.reload()
    expect(page.locator("#login-form")).to_be_visible()
    expect(page.locator("#join-lead")).to_contain_text("Your session has ended. Sign in again to go on")
    expect(page.locator("#login-username")).to_have_value("ada")
    page.reload()
    expect(page.locator("#join-lead")).to_have_text("Welcome back.")
    sign_up(left, "eve")
    left.click("#me")
    left.click("#account-leave")
    expect(left.locator("#join-lead")).to_contain_text("Pick a name.")


def test_attempts_are_limited_and_the_wait_is_told(start: Starter) -> None:
    """A cookie session is counted like any other; who tries too many passwords is told for how long to wait."""
    limits = {
        "proxies__trusted": "192.0.2.1/32",  # until a proxy is named, addresses of this machine are not counted
        "limits__write__rate": "1",
        "limits__write__burst": "2",
        "limits__login__rate": "1",
        "limits__login__burst": "2",
    }
    _, windows = start(guests=False, limits=True, access__sign_up="open", **limits)
    page = windows.open()
    sign_up(page, "ada")
    token = csrf_of(page)
    statuses = [call(page, "POST", "conversations", token)["status"] for _ in range(4)]
    assert statuses[0] == 201
    assert 429 in statuses
    other = windows.open()
    expect(other.locator("#login-form")).to_be_visible()
    for _ in range(2):
        sign_in(other, "ada", "wrong")
        expect(other.locator("#login-form .error")).to_have_text("User name or password is wrong.")
    sign_in(other, "ada")
    expect(other.locator("#login-form .error")).to_have_text(
        re.compile(r"Too many attempts\. Try again in \d+ seconds?\.")
    )


def test_a_guest_becomes_an_account(start: Starter) -> None:
    """With its name and its messages, without leaving the room; from then on it signs in from anywhere."""
    _, windows = start(access__sign_up="open")
    page = windows.join("Ada")
    page.fill("#text", "written as a guest")
    page.press("#text", "Enter")
    expect(page.locator("#log .msg:not(.unsent)")).to_have_count(1)
    page.click("#me")
    page.fill("#upgrade-username", "ada")
    page.fill("#upgrade-password", PASSWORD)
    page.fill("#upgrade-again", PASSWORD)
    page.click("#upgrade-form button[type=submit]")
    expect(page.locator("#password-form")).to_be_visible()
    expect(page.locator("#upgrade-form")).to_be_hidden()
    page.keyboard.press("Escape")
    live(page)
    expect(page.locator("#log .msg .chip")).to_have_text(["you"])
    other = windows.open()
    other.locator("#ways >> text=Sign in").click()
    sign_in(other, "ada")
    live(other)
    expect(other.locator("#me-name")).to_have_text("Ada")
    expect(other.locator("#log .msg .chip")).to_have_text(["you"])


def test_another_password_ends_the_other_sessions(start: Starter) -> None:
    """The present one is asked for; the others are out at once, and the former password opens nothing."""
    _, windows = start(access__sign_up="open")
    here, there = windows.open(), windows.open()
    sign_up(here, "ada")
    there.locator("#ways >> text=Sign in").click()
    sign_in(there, "ada")
    live(there)
    here.click("#me")
    for present, said in (
        ("wrong", "The present password is wrong."),
        (PASSWORD, "Changed. Every other session has ended."),
    ):
        here.fill("#password-present", present)
        here.fill("#password-new", "another battery staple")
        here.fill("#password-again", "another battery staple")
        here.click("#password-form button")
        expect(here.locator("#password-form .error")).to_have_text(said)
    expect(there.locator("#login-form")).to_be_visible(timeout=AT_ONCE_MS)
    sign_in(there, "ada")
    expect(there.locator("#login-form .error")).to_have_text("User name or password is wrong.")
    sign_in(there, "ada", "another battery staple")
    live(there)


def test_an_api_key_is_shown_once(start: Starter) -> None:
    """It opens what its scopes say, another secret replaces it, and revoked it opens nothing."""
    server, windows = start(access__sign_up="open")
    page = windows.open()
    sign_up(page, "ada")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#me")
    page.fill("#key-label", "ci")
    page.uncheck("#key-form [value=write]")
    page.click("#key-form button[type=submit]")
    secret = page.locator("#key-shown input")
    expect(secret).to_be_focused()
    first = secret.input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#key-shown [role=status]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == first
    expect(page.locator("#keys li")).to_contain_text("read · until")
    assert opens(server, first) == (200, 403)
    rotate = page.get_by_role("button", name="Rotate: ci")
    rotate.click()
    page.get_by_role("button", name=re.compile("Really rotate")).click()
    expect(secret).not_to_have_value(first)
    second = secret.input_value()
    assert (opens(server, first), opens(server, second)) == ((401, 401), (200, 403))
    page.get_by_role("button", name="Close", exact=True).click()
    page.click("#me")
    expect(page.locator("#keys li")).to_have_count(1)
    assert second not in page.content()
    page.get_by_role("button", name="Revoke: ci").click()
    page.get_by_role("button", name=re.compile("Really revoke")).click()
    expect(page.locator("#keys li")).to_have_count(0)
    assert opens(server, second) == (401, 401)


def opens(server: ServerProcess, key: str) -> tuple[int, int]:
    """What reading and writing with a key are answered."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=server.url, headers=headers) as client:
        reading = client.get("/api/v1/conversations").status_code
        return reading, client.post("/api/v1/conversations", json={}).status_code


def test_an_invite_leads_into_its_conversation(start: Starter) -> None:
    """Made in the members' panel, told after signing up, accepted once; the moderator sees the member and removes it."""
    server, windows = start(guests=False, access__sign_up="open")
    owner = windows.open()
    set_up(owner, setup_link(server))
    live(owner)
    den = call(owner, "POST", "conversations", csrf_of(owner))["body"]
    assert isinstance(den, dict)
    owner.goto(f"{server.url}/?room={den['id']}")
    live(owner)
    owner.click("#people")
    owner.click("#new-invite-form button")
    link = owner.locator("#invite-shown input").input_value()
    bob = windows.open()
    bob.goto(link)
    expect(bob).to_have_url(server.url + "/")
    expect(bob.locator("#join-note")).to_contain_text("You have an invite")
    sign_up(bob, "bob")
    expect(bob.locator("#invite-about")).to_contain_text("root invites you to")
    bob.get_by_role("button", name="Join", exact=True).click()
    expect(bob).to_have_url(f"{server.url}/?room={den['id']}")
    live(bob)
    late = windows.open()
    late.goto(link)
    sign_up(late, "eve")
    expect(late.locator("#invite-about")).not_to_be_empty()
    expect(late.get_by_role("button", name="Join", exact=True)).to_be_hidden()
    owner.keyboard.press("Escape")
    owner.click("#people")
    owner.get_by_role("button", name="Remove: bob").click()
    owner.get_by_role("button", name="Really remove, bob? Press again").click()
    expect(bob.locator("#banner")).to_contain_text("You are no longer in this room")
    expect(owner.get_by_role("button", name="Remove: bob")).to_have_count(0)


def test_who_is_banned_is_told(start: Starter) -> None:
    """While looking on, and after a reload in the server's own words: a public room is there for everybody else."""
    server, windows = start(access__sign_up="open")
    owner = windows.open()
    set_up(owner, setup_link(server))
    live(owner)
    eve = windows.open()
    sign_up(eve, "eve")
    body = call(eve, "GET", "auth/me")["body"]
    assert isinstance(body, dict)
    assert call(owner, "PUT", f"conversations/lobby/bans/{body['user']['id']}", csrf_of(owner))["status"] == 200
    expect(eve.locator("#banner")).to_have_text("You have been banned from this room.")
    eve.reload()
    expect(eve.locator("#banner")).to_have_text("You are banned here.")
    eve.goto(f"{server.url}/?room=nowhere")
    expect(eve.locator("#banner")).to_have_text("This room does not exist, or it is private.")


@pytest.mark.parametrize("dark", [False, True])
def test_everything_fits_a_phone(start: Starter, dark: bool) -> None:
    """At 360 pixels nothing sticks out: the link's page, the card in each of its ways, and the panels."""
    server, windows = start(access__sign_up="invite")
    page = windows.open(width=360, dark=dark)
    for way in ("Sign in", "Create an account"):
        page.locator(f"#ways >> text={way}").click()
        assert width_of(page) <= 360
    set_up(page, setup_link(server))
    live(page)
    for opener, ready in (("#me", "#sessions li"), ("#people", "#inviting")):
        page.click(opener)
        page.wait_for_selector(f"{ready} >> visible=true")
        assert width_of(page) <= 360
        assert page.evaluate("document.querySelector('dialog[open]').scrollWidth") <= 360
        page.keyboard.press("Escape")
        expect(page.locator(opener)).to_be_focused()


def width_of(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_providers_are_offered_and_their_refusals_told(start: Starter) -> None:
    """Each is a link that leads back to this room; why a login came to nothing is said, and leaves the address bar."""
    server, windows = start(guests=False)
    rows = '{"providers": [{"id": "acme", "name": "Acme", "login_url": "/api/v1/auth/oidc/acme/login"}]}'
    page = windows.open()
    page.route("**/api/v1/auth/oidc", lambda route: route.fulfill(content_type="application/json", body=rows))
    page.goto(f"{server.url}/?room=den&login_error=access_denied")
    expect(page.locator("#join-note")).to_have_text("The login was declined.")
    expect(page).to_have_url(f"{server.url}/?room=den")
    link = page.get_by_role("link", name="Continue with Acme")
    assert link.get_attribute("href") == "/api/v1/auth/oidc/acme/login?return_to=%2F%3Froom%3Dden"
