"""Tests of `hubbub keys`, `users`, `limits` and `audit` against a real server."""

from __future__ import annotations

import json
import stat

import pytest

from hubbub.operator_token import FILE_NAME

from .conftest import PASSWORD, Place

pytestmark = pytest.mark.server


def test_a_key_is_shown_once_rotated_and_revoked(place: Place) -> None:
    """Standard output is the secret alone; the list has none."""
    ida = place.person("ida")
    made = ida.run("keys", "create", "report", "--scope", "read", "--expires", "90d")
    secret = made.stdout.strip()
    assert secret not in made.stderr
    [key] = ida.reads("keys")
    assert (key["label"], key["scopes"]) == ("report", ["read"])
    assert secret not in json.dumps(key)
    assert key["last_used_at"] is None
    assert "\tnever\t" in ida.does("keys")
    elsewhere = place.stranger("script-of-ida")
    assert elsewhere.does("rooms", "--url", place.url, HUBBUB_TOKEN=secret)
    assert elsewhere.fails(77, "post", "lobby", "hi", "--url", place.url, HUBBUB_TOKEN=secret)
    fresh = ida.does("keys", "rotate", key["id"]).strip()
    assert fresh != secret
    assert "revoked" in elsewhere.fails(77, "rooms", "--url", place.url, HUBBUB_TOKEN=secret)
    assert ida.reads("keys")[0]["last_used_at"] > key["created_at"]
    assert ida.does("keys", "revoke", key["id"]) == f"revoked {key['id']}\n"
    elsewhere.fails(77, "rooms", "--url", place.url, HUBBUB_TOKEN=fresh)
    assert ida.reads("keys") == []


def test_accounts_are_named_by_user_name_or_id(place: Place) -> None:
    """Made, shown, changed, disabled, signed out and deleted by an administrator."""
    root, kim = place.stranger("root"), place.stranger("kim")
    said = root.does("users", "create", "kim", "--name", "Kim", "--password-file", "-", "--json", stdin=PASSWORD)
    made = json.loads(said)
    kim.does("login", "kim", "--url", place.url, "--password-file", "-", stdin=PASSWORD)
    assert root.reads("users", "show", "@Kim") == root.reads("users", "show", made["id"])
    root.does("users", "change", "kim", "--disable")
    kim.fails(77, "me")
    root.does("users", "change", "kim", "--enable", "--role", "admin")
    assert root.reads("users", "show", "kim")[0]["role"] == "admin"
    kim.does("login", "kim", "--password-file", "-", stdin=PASSWORD)
    root.does("users", "sign-out", "kim")
    assert "hubbub login" in kim.fails(77, "me")
    asked = root.run("users", "delete", "kim", stdin="n\n")
    assert asked.exit_code == 130
    assert root.reads("users", "show", "kim")
    root.does("users", "delete", "kim", "--yes")
    assert "no user" in root.fails(1, "users", "show", "kim")
    root.fails(2, "users", "change", "root")


def test_all_accounts_are_exported_into_a_file_of_ones_own(place: Place, tmp_path) -> None:
    """A line for each; mode 0600; the same on standard output."""
    root = place.stranger("root")
    place.person("ada")
    root.does("users", "export", str(tmp_path / "users.jsonl"))
    assert stat.S_IMODE((tmp_path / "users.jsonl").stat().st_mode) == 0o600
    rows = [json.loads(line) for line in (tmp_path / "users.jsonl").read_text().splitlines()]
    assert {"root", "ada"} <= {row["username"] for row in rows}
    assert [json.loads(line) for line in root.does("users", "export").splitlines()] == rows
    assert [path.name for path in tmp_path.iterdir()] == ["users.jsonl"]
    assert "cannot write" in root.fails(1, "users", "export", str(tmp_path / "none" / "users.jsonl"))


def test_an_invitation_to_sign_up_makes_one_account(place: Place) -> None:
    """Its secret alone is on standard output, its link is in the note; the list shows who used it."""
    root, lea = place.stranger("root"), place.stranger("lea")
    made = root.run("users", "invite", "for Lea")
    secret = made.stdout.strip()
    assert f"{place.url}/#signup={secret}, or `hubbub signup" in made.stderr.splitlines()[0]
    lea.does("signup", "lea", "--url", place.url, "--invitation", secret, "--password-file", "-", stdin=PASSWORD)
    [used] = [row for row in root.reads("users", "invitations") if row["label"] == "for Lea"]
    assert used["used_by"] == lea.reads("me")[0]["user"]["id"]
    other = root.reads("users", "invite")[0]
    root.does("users", "withdraw", other["id"])


def test_who_is_no_administrator_is_told_so(place: Place) -> None:
    """Exit code 77 for each command of operators, and what would help."""
    mia = place.person("mia")
    for args in (("users",), ("limits",), ("audit",), ("tree",), ("release", "lobby")):
        assert "administrator" in mia.fails(77, *args, "--token", _token(mia, place))


def test_a_key_without_the_scope_is_not_taken_for_somebody_elses(place: Place) -> None:
    """An administrator's, or a member's for people's commands: the scope is what is missing."""
    root, script = place.root(), place.stranger("script-of-root")
    key = root.does("keys", "create", "reader", "--scope", "read").strip()
    for args in (("users",), ("post", "lobby", "hi")):
        said = script.fails(77, *args, "--url", place.url, HUBBUB_TOKEN=key)
        assert "lacks the scope" in said
        assert "keys create --scope" in said
        assert "guest" not in said


def test_the_operators_token_opens_what_administrators_may(place: Place) -> None:
    """By --data, or by its variable; it wins over a login."""
    mia = place.person("mia")
    data = ("--data", str(place.process.data_dir))
    assert "root" in mia.does("users", *data)
    token = (place.process.data_dir / FILE_NAME).read_text().strip()
    assert "root" in mia.does("users", HUBBUB_OPERATOR_TOKEN=token)
    assert "root" in mia.does("users", *data, HUBBUB_TOKEN="x" * 40)
    mia.fails(2, "users", *data, "--token", token)


def test_a_limit_is_set_and_given_back(place: Place) -> None:
    """It says where it was said."""
    root = place.stranger("root")
    [limit] = root.reads("limits", "set", "login", "--rate", "1000", "--per", "1m")
    assert (limit["rate"], limit["period_s"], limit["burst"], limit["source"]) == (1000, 60, 1000, "admin")
    assert {row["name"]: row["source"] for row in root.reads("limits")}["login"] == "admin"
    assert root.reads("limits", "reset", "login")[0]["source"] == "configuration"
    assert "no limit 'zzz'\n" in root.fails(1, "limits", "set", "zzz", "--rate", "1")
    for args in (("set", "pst", "--rate", "1"), ("set", "pst", "--off"), ("reset", "pst")):
        assert "did you mean 'post'?" in root.fails(1, "limits", *args)
    assert "--rate, or --off" in root.fails(2, "limits", "set", "login")
    root.does("limits", "set", "login", "--rate", "30", "--per", "1m", "--burst", "40")
    [limit] = root.reads("limits", "set", "login", "--off")
    assert (limit["rate"], limit["period_s"], limit["burst"], limit["on"]) == (30, 60, 40, False)
    [limit] = root.reads("limits", "set", "login", "--off", "--rate", "20")
    assert (limit["rate"], limit["period_s"], limit["burst"]) == (20, 60, 40)
    root.does("limits", "reset", "login")


def test_the_audit_log_is_read_newest_first(place: Place) -> None:
    """What was just done stands on top, with who did it; pages lead on."""
    root = place.stranger("root")
    root.does("limits", "reset", "guest")
    root.does("limits", "reset", "post")
    first, second = root.reads("audit", "--limit", "2")
    assert (first["target"], second["target"]) == ("post", "guest")
    assert root.reads("audit", "--limit", "2", "--actor", "@root") == [first, second]
    assert "no user" in root.fails(1, "audit", "--actor", "nobody.here")
    assert first["actor"] == root.reads("me")[0]["user"]["id"]
    assert first["actor_name"] == "root"
    assert root.does("audit", "--limit", "1").split("\t")[1:4] == ["root", first["actor"], first["action"]]
    everything = root.reads("audit", "--all")
    assert everything[:2] == [first, second]
    assert all(row["actor"] == first["actor"] for row in root.reads("audit", "--actor", first["actor"]))


def _token(person, place: Place) -> str:
    return json.loads(person.credentials.read_text())["servers"][place.url]["login"]["token"]
