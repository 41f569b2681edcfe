"""Writing to one person, wanting nothing more from somebody, and closing one's account, in a real Chromium.

What a block keeps from happening is tested with the server (`tests/permission_table.py`); here is what the page offers and says.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import Starter, Windows
from .test_identity import PASSWORD, live, set_up, setup_link, sign_in, sign_up, width_of

pytestmark = [pytest.mark.browser, pytest.mark.server]


def signed_up(windows: Windows, username: str, *, width: int = 1000) -> Page:
    """A window of somebody with an account."""
    page = windows.open(width=width)
    sign_up(page, username)
    return page


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def about(page: Page, name: str) -> None:
    """Open the panel about somebody in the panel of people."""
    page.click("#people")
    page.get_by_role("button", name=f"{name}: write directly, or block").click()
    expect(page.locator("#person-block")).to_be_visible()


def back_to_room(page: Page) -> None:
    """Close whatever panels are open."""
    while page.locator("dialog[open]").count():
        page.keyboard.press("Escape")


def test_two_people_write_to_each_other_alone(start: Starter) -> None:
    """From a name in the log to a conversation that is called after the other one; both find it again, and may hide it."""
    _, windows = start(access__sign_up="open")
    ada, bob = signed_up(windows, "ada"), windows.join("Bob")
    say(bob, "hello, all")
    ada.locator("#log button.name", has_text="Bob").click()
    expect(ada.get_by_role("heading", name="Bob")).to_be_visible()
    ada.get_by_role("button", name="Write directly", exact=True).click()
    ada.wait_for_url(re.compile("room=direct"))
    live(ada)
    expect(ada.locator("#title")).to_have_text("Bob")
    say(ada, "only for you")
    bob.click("#people")
    bob.locator("#direct-rows a", has_text="ada").click()
    live(bob)
    expect(bob.locator("#title")).to_have_text("ada")
    expect(bob.locator("#log .msg .text")).to_have_text(["only for you"])
    bob.click("#people")
    expect(bob.locator("#find-form")).to_be_hidden()
    bob.get_by_role("button", name="Hide: ada").click()
    expect(bob.locator("#directs-note")).to_be_visible()
    expect(bob.locator("#direct-rows li")).to_have_count(0)
    say(ada, "still there?")
    back_to_room(bob)
    expect(bob.locator("#log .msg .text")).to_have_text(["only for you", "still there?"])
    bob.click("#people")
    expect(bob.locator("#direct-rows li")).to_have_count(1)


def test_somebody_is_found_by_user_name(start: Starter) -> None:
    """Who has written nothing and is nowhere a member; nobody and oneself are told."""
    _, windows = start(access__sign_up="open")
    signed_up(windows, "bob")
    ada = signed_up(windows, "ada")
    ada.click("#people")
    for username, said in (("nobody.here", "Nobody signs in with this name."), ("Ada", "This is you.")):
        ada.fill("#find-username", username)
        ada.keyboard.press("Enter")
        expect(ada.locator("#find-form .error")).to_have_text(said)
        expect(ada.locator("#find-username")).to_be_focused()
    ada.fill("#find-username", "@bob")
    ada.keyboard.press("Enter")
    ada.get_by_role("button", name="Write directly", exact=True).click()
    live(ada)
    expect(ada.locator("#title")).to_have_text("bob")


def test_a_block_is_made_told_and_ended(start: Starter) -> None:
    """Posts of either side are refused in the server's words; the panels show it, and either of them ends it."""
    _, windows = start(access__sign_up="open")
    ada, bob = signed_up(windows, "ada"), signed_up(windows, "bob")
    say(bob, "hello")
    expect(ada.locator("#log button.name")).to_have_text(["bob"])
    about(ada, "bob")
    ada.get_by_role("button", name="Write directly", exact=True).click()
    ada.wait_for_url(re.compile("room=direct"))
    live(ada)
    bob.goto(ada.url)
    live(bob)
    about(ada, "bob")
    ada.get_by_role("button", name="Block", exact=True).click()
    expect(ada.locator("#person-blocked")).to_have_text("You have blocked bob.")
    ada.keyboard.press("Escape")
    expect(ada.locator("#member-rows .chip", has_text="blocked")).to_be_visible()
    expect(ada.get_by_role("button", name="bob: write directly, or block")).to_be_focused()
    back_to_room(ada)
    say(bob, "answer me")
    expect(bob.locator("#log .refusal")).to_contain_text("Not sent. You may not post here.")
    say(ada, "no")
    expect(ada.locator("#log .refusal")).to_contain_text("Not sent. You have blocked this person: end the block first.")
    ada.click("#me")
    end = ada.get_by_role("button", name="End the block: bob")
    end.click()
    expect(ada.locator("#blocks-note")).to_be_visible()
    expect(ada.locator("#blocks li")).to_have_count(0)
    back_to_room(ada)
    bob.get_by_role("button", name="Try again").click()
    expect(ada.locator("#log .msg:not(.unsent) .text")).to_have_text(["answer me"])
    about(ada, "bob")
    expect(ada.locator("#person-block")).to_have_text("Block")


def test_a_block_keeps_a_direct_conversation_from_beginning(start: Starter) -> None:
    """Whoever blocks is told to end it first, in the same panel."""
    _, windows = start(access__sign_up="open")
    ada, bob = signed_up(windows, "ada"), windows.join("Bob")
    say(bob, "hello")
    expect(ada.locator("#log button.name")).to_have_count(1)
    about(ada, "Bob")
    ada.get_by_role("button", name="Block", exact=True).click()
    ada.get_by_role("button", name="Write directly", exact=True).click()
    expect(ada.locator("#person-error")).to_have_text("You have blocked this person: end the block first.")
    ada.get_by_role("button", name="End the block", exact=True).click()
    expect(ada.locator("#person-blocked")).to_be_empty()
    ada.get_by_role("button", name="Write directly", exact=True).click()
    ada.wait_for_url(re.compile("room=direct"))


def test_an_account_is_closed_by_its_password(start: Starter) -> None:
    """A wrong one is told; then everything that was signed in is out, and the user name opens nothing."""
    _, windows = start(access__sign_up="open")
    page = signed_up(windows, "ada")
    say(page, "this stays")
    expect(page.locator("#log .msg:not(.unsent)")).to_have_count(1)
    tab = page.context.new_page()
    tab.goto(windows.url)
    live(tab)
    page.click("#me")
    expect(page.locator("#close-password")).to_be_hidden()
    page.get_by_text("Close the account", exact=True).click()
    expect(page.locator("#close-form")).to_contain_text("What you wrote stays")
    page.fill("#close-password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#close-form .error")).to_have_text("The present password is wrong.")
    page.fill("#close-password", PASSWORD)
    page.keyboard.press("Enter")
    for each in (page, tab):
        expect(each.locator("#join")).to_be_visible()
    page.locator("#ways >> text=Sign in").click()
    sign_in(page, "ada")
    expect(page.locator("#login-form .error")).to_have_text("User name or password is wrong.")
    guest = windows.join("Bob")
    expect(guest.locator("#log .msg .text")).to_have_text(["this stays"])


def test_linked_logins_are_listed_and_unlinked(start: Starter) -> None:
    """What opens the account and what else could; a link that came to nothing is told where it was begun."""
    _, windows = start(access__sign_up="open")
    page = signed_up(windows, "ada")
    page.click("#me")
    expect(page.locator("#sessions li")).to_have_count(1)
    expect(page.locator("#linked")).to_be_hidden()
    page.keyboard.press("Escape")
    page.route("**/api/v1/auth/oidc", lambda route: route.abort())
    page.click("#me")
    expect(page.locator("#linked-error")).to_have_text("The server cannot be reached.")
    expect(page.locator("#linked-error")).to_be_visible()
    keys = ("acme", "umbrella")
    providers = [{"id": key, "name": key.title(), "login_url": f"/api/v1/auth/oidc/{key}/login"} for key in keys]
    rows = [
        {
            "id": "i1",
            "provider": "acme",
            "issuer": "https://acme.example",
            "created_at": "2026-11-01T10:00:00.000Z",
        }
    ]
    gone = []

    def answer(route) -> None:
        if route.request.method == "DELETE":
            gone.append(route.request.url)
            rows.clear()
            route.fulfill(status=204)
        else:
            route.fulfill(json={"identities": rows})

    page.route("**/api/v1/auth/oidc", lambda route: route.fulfill(json={"providers": providers}))
    page.route(re.compile("/api/v1/auth/identities"), answer)
    page.goto(windows.url + "?login_error=identity_taken")
    expect(page.locator("#linked-error")).to_have_text("That login opens another account already.")
    expect(page.locator("#identities li")).to_contain_text("Acme")
    expect(page.locator("#link-ways a")).to_have_text(["Link Umbrella"])
    link = page.locator("#link-ways a").get_attribute("href")
    assert link == "/api/v1/auth/oidc/umbrella/login?link=true&return_to=%2F"
    page.get_by_role("button", name="Unlink: Acme").click()
    page.get_by_role("button", name=re.compile("Really unlink")).click()
    expect(page.locator("#link-ways a")).to_have_text(["Link Acme", "Link Umbrella"])
    assert [url.rpartition("/")[2] for url in gone] == ["i1"]


def test_the_panels_fit_a_phone(start: Starter) -> None:
    """At 360 pixels nothing sticks out, with long names, too."""
    _, windows = start(access__sign_up="open")
    long = windows.join("M" * 64)
    say(long, "hello")
    page = signed_up(windows, "ada", width=360)
    expect(page.locator("#log button.name")).to_have_count(1)
    about(page, "M" * 64)
    page.click("#person-block")
    expect(page.locator("#person-blocked")).not_to_be_empty()
    assert page.evaluate("document.querySelector('#person').scrollWidth") <= 360
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('#members').scrollWidth") <= 360
    page.keyboard.press("Escape")
    page.click("#me")
    page.get_by_text("Close the account", exact=True).click()
    expect(page.locator("#blocks li")).to_have_count(1)
    assert page.evaluate("document.querySelector('#account').scrollWidth") <= 360
    assert width_of(page) <= 360


def test_those_in_office_mute_and_ban_from_a_message(start: Starter) -> None:
    """A guest who is no member, from the name beside what was written; each is told in the panel, and ended there."""
    server, windows = start(access__sign_up="open")
    owner, bob = windows.open(), windows.join("Bob")
    set_up(owner, setup_link(server))
    live(owner)
    say(bob, "hello, all")
    panel = owner.locator("#person")
    owner.locator("#log button.name", has_text="Bob").click()
    expect(panel.get_by_label("How long to mute").locator("option")).to_have_text(
        ["for 10 minutes", "for an hour", "for a day"]
    )
    panel.get_by_label("How long to mute").select_option("for 10 minutes")
    panel.get_by_role("button", name="Mute", exact=True).click()
    expect(panel.locator("#person-standing")).to_have_text("Bob is muted for 10 minutes.")
    say(bob, "anybody?")
    expect(bob.locator("#log .refusal")).to_contain_text("Not sent. You are muted here.")
    panel.get_by_role("button", name="Unmute", exact=True).click()
    expect(panel.locator("#person-standing")).to_be_empty()
    bob.get_by_role("button", name="Try again").click()
    expect(owner.locator("#log .msg .text")).to_have_text(["hello, all", "anybody?"])
    panel.get_by_role("button", name="Ban: Bob").click()
    panel.get_by_role("button", name=re.compile("^Really ban, Bob")).click()
    expect(panel.locator("#person-standing")).to_have_text("Bob is banned from this room.")
    expect(panel.locator("#muting")).to_be_hidden()
    expect(bob.locator("#banner")).to_have_text("You have been banned from this room.")
    owner.keyboard.press("Escape")
    owner.locator("#log button.name", has_text="Bob").click()
    expect(panel.locator("#person-standing")).to_have_text("Bob is banned from this room.")
    panel.get_by_role("button", name="End the ban: Bob").click()
    panel.get_by_role("button", name=re.compile("^Really end the ban, Bob")).click()
    expect(panel.locator("#person-standing")).to_be_empty()
    expect(panel.get_by_role("button", name="Ban: Bob")).to_be_focused()
    bob.reload()
    live(bob)


def test_nobody_else_is_offered_to_mute_or_ban(start: Starter) -> None:
    """Neither somebody without an office, nor anybody in a direct conversation."""
    server, windows = start(access__sign_up="open")
    owner, ada, bob = windows.open(), signed_up(windows, "ada"), windows.join("Bob")
    set_up(owner, setup_link(server))
    live(owner)
    say(bob, "hello")
    about(ada, "Bob")
    ada.wait_for_load_state("networkidle")
    expect(ada.locator("#moderation")).to_be_hidden()
    about(owner, "Bob")
    expect(owner.locator("#moderation")).to_be_visible()
    owner.get_by_role("button", name="Write directly", exact=True).click()
    owner.wait_for_url(re.compile("room=direct"))
    live(owner)
    about(owner, "Bob")
    owner.wait_for_load_state("networkidle")
    expect(owner.locator("#moderation")).to_be_hidden()


def test_the_panel_of_those_in_office_fits_a_phone(start: Starter) -> None:
    """At 360 pixels nothing sticks out, with a long name, too."""
    server, windows = start(access__sign_up="open")
    say(windows.join("M" * 64), "hello")
    owner = windows.open(width=360, dark=True)
    set_up(owner, setup_link(server))
    live(owner)
    about(owner, "M" * 64)
    expect(owner.locator("#moderation")).to_be_visible()
    owner.get_by_role("button", name="Mute", exact=True).click()
    expect(owner.locator("#person-standing")).to_contain_text("is muted for 60 minutes.")
    owner.get_by_role("button", name=re.compile("^Ban: M")).click()
    assert owner.evaluate("document.querySelector('#person').scrollWidth") <= 360
