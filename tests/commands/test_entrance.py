"""Tests of getting in where the door is not open: why it is shut is told apart, with what to do; and of guests' accounts."""

from __future__ import annotations

import json

import pytest

from .conftest import PASSWORD, Place

pytestmark = pytest.mark.server


def test_refusals_at_sign_up_are_told_apart(fresh: Place) -> None:
    """No administrator yet, a wrong link, no invitation, one that is no good, and sign-up off: each says what to do."""
    ada = fresh.stranger("ada")
    args = ("signup", "ada", "--url", fresh.url, "--password-file", "-")
    said = ada.fails(77, *args, stdin=PASSWORD)
    assert said == (
        "hubbub: this server has no administrator yet: the link that it has printed makes the first: give it with --setup LINK\n"
    )
    said = ada.fails(77, *args, "--setup", f"{fresh.url}/setup#hbu_wrong", stdin=PASSWORD)
    assert "not the token that the server has printed: each start" in said
    root = fresh.root()
    assert "set up already: sign in" in ada.fails(1, *args, "--setup", fresh.setup_link, stdin=PASSWORD)
    said = ada.fails(77, *args, stdin=PASSWORD)
    assert "no invitation was shown" in said
    assert "--invitation" in said
    assert "no such invitation" in ada.fails(1, *args, "--invitation", "hbi_none", stdin=PASSWORD)
    root.does("config", "set", "access.sign_up", "off")
    said = ada.fails(77, *args, stdin=PASSWORD)
    assert "nobody can sign up here" in said
    assert "hubbub users create" in said
    assert "the invited neither" in ada.fails(77, *args, "--invitation", "hbi_none", stdin=PASSWORD)


def test_an_invitation_that_opens_nothing_says_so(fresh: Place) -> None:
    """Where sign-up is off or open; standard output stays the secret alone."""
    root = fresh.root()
    for policy, said in (("invite", ""), ("off", "sign-up is off"), ("open", "sign-up is open")):
        root.does("config", "set", "access.sign_up", policy)
        made = root.run("users", "invite")
        assert made.stdout.startswith("hbi_")
        assert made.stdout.count("\n") == 1
        assert ("sign-up is" in made.stderr) == bool(said)
        assert said in made.stderr


def test_a_guest_becomes_an_account(fresh: Place) -> None:
    """With the same id, and all that it owns; the guest is forgotten, and the server's policy holds as for anybody."""
    root, guest = fresh.root(), fresh.stranger("guest")
    guest.does("rooms", "create", "mine", "--url", fresh.url)
    before = guest.reads("me", "--url", fresh.url)[0]["user"]
    args = ("signup", "ada", "--url", fresh.url, "--password-file", "-")
    assert "--invitation" in guest.fails(77, *args, "--upgrade", stdin=PASSWORD)
    invitation = root.does("users", "invite").strip()
    guest.does(*args, "--upgrade", "--invitation", invitation, stdin=PASSWORD)
    after = guest.reads("me")[0]["user"]
    assert (after["id"], after["name"], after["username"]) == (before["id"], before["name"], "ada")
    assert guest.reads("rooms", "show", "mine")[0]["owner"] == before["id"]
    assert json.loads(guest.credentials.read_text())["servers"][fresh.url].get("guests", {}) == {}
    assert "leave --upgrade out" in guest.fails(1, *args, "--upgrade", stdin=PASSWORD)
    assert "leave --upgrade and --guest out" in guest.fails(2, *args, "--guest", "x", "--setup", "hbu_x")


def test_which_guest_is_meant(fresh: Place) -> None:
    """The one that is named; of several none is guessed but the login name's."""
    root, guest = fresh.root(), fresh.stranger("guest")
    root.does("config", "set", "access.sign_up", "open")
    for name in ("One", "Two"):
        guest.does("post", "lobby", "hi", "--url", fresh.url, "--name", name)
    args = ("signup", "ada", "--url", fresh.url, "--password-file", "-")
    said = guest.fails(1, *args, "--upgrade", stdin=PASSWORD)
    assert "--guest and one of One, Two" in said
    guest.does(*args, "--guest", "Two", stdin=PASSWORD)
    assert guest.reads("me")[0]["user"]["name"] == "Two"
    assert list(json.loads(guest.credentials.read_text())["servers"][fresh.url]["guests"]) == ["One"]
