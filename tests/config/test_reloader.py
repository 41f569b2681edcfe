"""The reloader: what is put in force, what is refused, and what is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from hubbub.config import overrides, reloader
from hubbub.config.loader import Loaded, Sources
from hubbub.config.reloader import Reloader
from hubbub.config.startup import sources_of, start
from hubbub.config.watcher import fingerprint
from hubbub.engine import Conflict, PreconditionFailed, StoreUnavailable
from hubbub.transport.config_calls import SettingsRefused
from hubbub.transport.jwt_keys import hmac_key
from hubbub.transport.live import Live, LiveSettings

from ..transport.tokens import Signer

URL = "postgresql://ada:hunter2@db/chat"
CONTACT = {"contact": ["mailto:a@example.org"], "expires": "2030-01-01T00:00:00Z"}


@attrs.define
class Place:
    """A configuration in a folder, as a server holds it."""

    folder: Path
    live: Live
    reader: Reloader

    def write(self, text: str) -> None:
        (self.folder / "hubbub.toml").write_text(text)

    @property
    def guests(self) -> bool:
        return self.live.current.access.guests


def place(folder: Path, text: str = "", **variables: str) -> Place:
    """Start with this file and these variables; again in the same folder, as after a restart."""
    file = folder / "hubbub.toml"
    file.write_text(text)
    variables["HUBBUB_STORE__DATA"] = str(folder)
    started = start(Sources(file=file, environment=variables))
    live = Live(started.config.live)
    return Place(folder, live, started.reloader(live, lambda: 1_000))


async def test_a_reload_replaces_the_snapshot(tmp_path: Path) -> None:
    """Another generation, and those who keep something of the old one are told."""
    there = place(tmp_path)
    told: list[LiveSettings] = []
    there.live.subscribe(told.append)
    before = there.live.current
    there.write("[access]\nguests = true\n")
    assert await there.reader.reload("file")
    assert (there.guests, there.live.current.generation) == (True, before.generation + 1)
    assert told == [there.live.current]
    assert before.access.guests is False
    assert (there.reader.status.ok, there.reader.status.at_ms) == (True, 1_000)


async def test_a_reload_that_changes_nothing_is_no_generation(tmp_path: Path) -> None:
    """A comment is no change; the tag stays."""
    there = place(tmp_path)
    tag = there.reader.tag
    there.write("# a comment\n[access]\nguests = false\n")
    assert await there.reader.reload("signal")
    assert (there.live.current.generation, there.reader.tag) == (1, tag)


@pytest.mark.parametrize("text", ["[access\n", "[access]\nguets = true\n", "[access]\nguests = 'x'\n"])
async def test_a_bad_file_is_refused_and_the_old_settings_stay(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole or not at all, visibly; the next good one counts."""
    there = place(tmp_path, "[access]\nguests = true\n")
    there.write(text)
    before = there.live.current
    assert not await there.reader.reload("file")
    assert there.live.current is before
    status = there.reader.status
    assert (status.ok, status.generation, len(status.problems)) == (False, 1, 1)
    assert "config.refused" in caplog.text
    there.write("[access]\nguests = false\n")
    assert await there.reader.reload("file")
    assert (there.reader.status.ok, there.reader.status.problems, there.guests) == (True, (), False)


async def test_a_file_that_has_gone_is_refused(tmp_path: Path) -> None:
    """A server does not fall back to defaults because a mount is away for a moment."""
    there = place(tmp_path, "[access]\nguests = true\n")
    (tmp_path / "hubbub.toml").unlink()
    assert not await there.reader.reload("file")
    assert there.guests


async def test_a_refusal_shows_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the status."""
    there = place(tmp_path)
    there.write("[store]\ndatabase_url = 'mysql://ada:hunter2@db'\n")
    assert not await there.reader.reload("file")
    assert "hunter2" not in caplog.text + repr(there.reader.status)


async def test_what_needs_a_restart_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Live settings of the same file count at once; the others are named until they are put back."""
    there = place(tmp_path)
    there.write(f"[serve]\nport = 9\n[store]\ndatabase_url = '{URL}'\n[access]\nguests = true\n")
    assert await there.reader.reload("file")
    assert there.guests
    assert there.reader.status.needs_restart == ("serve.port", "store.database_url")
    assert "config.needs_restart" in caplog.text
    assert there.reader.document()["settings"]["serve"]["port"] == 8000
    assert "hunter2" not in caplog.text + json.dumps(there.reader.document(), default=str)
    there.write("")
    assert await there.reader.reload("file")
    assert there.reader.status.needs_restart == ()


async def test_a_bug_in_reading_leaves_the_server_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an internal error of the reading, not the end of the server."""
    there = place(tmp_path)

    def broken(*args: object) -> Loaded:
        raise RuntimeError("a bug")

    monkeypatch.setattr(reloader, "load", broken)
    assert not await there.reader.reload("file")
    assert there.reader.status.problems == ("internal error",)


async def test_what_admins_set_outlives_a_restart(tmp_path: Path) -> None:
    """It is on the disk before it is in force, beats the file, and null gives the setting back."""
    there = place(tmp_path, "[access]\nguests = false\n")
    await there.reader.merge(
        {"access": {"guests": True}, "security_txt": CONTACT}, tags=frozenset({there.reader.tag}), by="ada"
    )
    assert (there.guests, there.live.current.generation) == (True, 2)
    assert overrides.read(tmp_path) == {"access": {"guests": True}, "security_txt": CONTACT}
    again = place(tmp_path, "[access]\nguests = false\n")
    assert again.guests
    assert again.live.current.security_txt.contact == ("mailto:a@example.org",)
    assert again.reader.document()["origins"]["access.guests"] == str(overrides.place(tmp_path))
    await again.reader.merge({"access": {"guests": None}}, tags=None, by="ada")
    assert not again.guests
    assert overrides.read(tmp_path) == {"security_txt": CONTACT}


async def test_a_reload_keeps_what_admins_set(tmp_path: Path) -> None:
    """The file changes under it; the admin's word stays."""
    there = place(tmp_path)
    await there.reader.merge({"access": {"guests": True}}, tags=None, by="ada")
    there.write("[access]\nguests = false\n[security_txt]\nhiring = ['https://example.org']\n")
    assert await there.reader.reload("file")
    assert (there.guests, there.live.current.security_txt.hiring) == (True, ("https://example.org",))


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ({"acess": {"guests": True}}, "acess: there is no such setting; did you mean access?"),
        ({"access": {"guests": "yes"}}, "this call"),
        ({"access": True}, "access: is a section, not a setting"),
        ({"access": {"sign_up": {}}}, "access.sign_up: takes open or invite or off, not a table"),
        ({"access": {"guests": {"a": {"b": {}}}}}, "access.guests: takes true or false, not a table"),
        ({"serve": {"port": 1}}, "serve.port: needs a restart: it belongs into the file"),
        ({"serve": {"port": None}}, "serve.port: needs a restart: it belongs into the file"),
        ({"store": {"database_url": "x"}}, "store.database_url: is a secret"),
        ({"store": {"database_url_file": "/etc/passwd"}}, "store.database_url_file: is a secret"),
        ({"security_txt": {"contact": ["mailto:a@example.org"]}}, "a contact needs 'expires'"),
        ({"security_txt": {"contact": ["mailto:a\r\nX: y"]}}, "must be one line"),
    ],
)
async def test_a_change_that_is_not_acceptable(patch: Mapping[str, Any], told: str, tmp_path: Path) -> None:
    """Nothing changes, nothing is kept, and health stays good: the caller was told."""
    there = place(tmp_path)
    before = there.live.current
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge(patch, tags=None, by="ada")
    assert told in caught.value.problems[0] or told == "this call"
    assert there.live.current is before
    assert overrides.read(tmp_path) == {}
    assert there.reader.status.ok


async def test_a_change_of_settings_that_one_has_not_seen(tmp_path: Path) -> None:
    """The second of two admins is refused, and so is one who has read before a restart."""
    there = place(tmp_path)
    seen = there.reader.tag
    await there.reader.merge({"access": {"guests": True}}, tags=frozenset({seen}), by="ada")
    with pytest.raises(PreconditionFailed):
        await there.reader.merge({"access": {"guests": False}}, tags=frozenset({seen}), by="bob")
    assert there.guests
    assert place(tmp_path).reader.tag != seen


@pytest.mark.parametrize("value", [True, False])
async def test_the_environment_has_the_last_word(value: bool, tmp_path: Path) -> None:
    """A change that could have no effect is refused, and says who decides."""
    there = place(tmp_path, HUBBUB_ACCESS__GUESTS="no")
    with pytest.raises(Conflict, match="HUBBUB_ACCESS__GUESTS"):
        await there.reader.merge({"access": {"guests": value}}, tags=None, by="ada")
    assert overrides.read(tmp_path) == {}


async def test_a_change_that_cannot_be_kept_is_not_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: an error, and the old settings."""
    there = place(tmp_path)

    def full(data: Path, table: Mapping[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(overrides, "write", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        await there.reader.merge({"access": {"guests": True}}, tags=None, by="ada")
    assert not there.guests
    assert await there.reader.reload("file")
    assert not there.guests


async def test_a_cancelled_change_is_kept_and_in_force_or_neither(tmp_path: Path) -> None:
    """Whenever the caller goes away."""
    there = place(tmp_path)
    for turns in range(12):
        wanted = not there.guests
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: there.reader.merge({"access": {"guests": wanted}}, tags=None, by="ada"))  # noqa: B023
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        kept = overrides.read(tmp_path).get("access", {}).get("guests", False)
        assert kept == there.guests


async def test_many_changes_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    """Reloads and admins' changes: the last state in memory is the one on the disk, and generations have no gap."""
    there = place(tmp_path)
    seen: list[int] = []
    there.live.subscribe(lambda settings: seen.append(settings.generation))

    async def set_hiring(number: int) -> None:
        hiring = [f"https://example.org/{number}"]
        await there.reader.merge({"security_txt": {"hiring": hiring}}, tags=None, by="ada")

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(set_hiring, number)
            nursery.start_soon(there.reader.reload, "file")
    assert seen == list(range(2, 22))
    assert overrides.read(tmp_path)["security_txt"]["hiring"] == list(there.live.current.security_txt.hiring)


@pytest.mark.parametrize("name", ["hubbub.toml", "key"])
async def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(name: str, tmp_path: Path) -> None:
    """It is refused as what cannot be read; a thread that opens it would wait for a writer for ever."""
    (tmp_path / "key").write_text("k" * 32)
    there = place(tmp_path, f"[jwt]\nhmac_secret_files = ['{tmp_path}/key']\n")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    assert not await there.reader.reload("file")
    assert "it is no regular file" in there.reader.status.problems[0]
    assert fingerprint(there.reader.files()).count(None) == 1


async def test_keys_that_cannot_be_had_are_refused(tmp_path: Path) -> None:
    """At a reload, in an admin's change and at a start alike: nothing of it is in force, and nothing is kept."""
    (tmp_path / "key").write_text("k" * 32)
    files = [f"{tmp_path}/key"] * 5
    there = place(tmp_path, f"[jwt]\nhmac_secret_files = {files}\n")
    before = there.live.current
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge({"jwt": {"public_keys": [Signer.ec().pem] * 4}}, tags=None, by="ada")
    assert "at most 8 keys" in caught.value.problems[0]
    assert not overrides.place(tmp_path).exists()
    for text in ("hmac_secret_files = ['/none']", f"hmac_secret_files = {files}\npublic_key_files = {files}"):
        there.write(f"[jwt]\n{text}\n")
        assert not await there.reader.reload("file")
    assert there.live.current is before


PROVIDER = {"issuer": "https://login.example", "client_id": "chat"}


@pytest.mark.parametrize(
    ("patch", "key", "why"),
    [
        ({"oidc": {"providers": {"x": {**PROVIDER, "client_secret": "hunter2"}}}}, "oidc.providers", "is a secret"),
        ({"oidc": {"providers": {"x": {**PROVIDER, "client_secret": None}}}}, "oidc.providers", "is a secret"),
        ({"oidc": {"providers": {"x": {**PROVIDER, "client_secret_file": "/etc/shadow"}}}}, "oidc.providers", "a file"),
        ({"jwt": {"hmac_secret_files": ["/etc/machine-id"]}}, "jwt.hmac_secret_files", "a file"),
        ({"jwt": {"public_key_files": []}}, "jwt.public_key_files", "a file"),
    ],
)
async def test_an_admin_says_no_secret_and_no_file_at_any_depth(
    patch: dict[str, Any], key: str, why: str, tmp_path: Path
) -> None:
    """A secret would be kept in clear; a file would be read, and what stands in it sent to where the same call says."""
    there = place(tmp_path)
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge(patch, tags=None, by="ada")
    assert caught.value.problems[0].startswith(f"{key}: ")
    assert why in caught.value.problems[0]
    assert "hunter2" not in str(caught.value.problems)
    assert not overrides.place(tmp_path).exists()
    good = {"public_url": "https://chat.example", "providers": {"x": PROVIDER}}
    await there.reader.merge({"oidc": good}, tags=None, by="ada")


async def test_a_key_that_is_replaced_in_its_file_counts(tmp_path: Path) -> None:
    """The file is watched, and another content is another snapshot, although the settings say the same."""
    key = tmp_path / "key"
    key.write_text("k" * 32)
    there = place(tmp_path, f"[jwt]\nhmac_secret_files = ['{key}']\n")
    assert key in there.reader.files()
    assert await there.reader.reload("file")
    assert there.live.current.generation == 1
    key.write_text("n" * 32)
    assert await there.reader.reload("file")
    assert there.live.current.generation == 2
    assert there.live.current.jwt.loaded == (hmac_key("n" * 32),)


async def test_a_refusal_names_no_file_of_the_server(tmp_path: Path) -> None:
    """Neither where the settings of admins are kept nor what the server's own file names; the key is told."""
    url = tmp_path / "url"
    url.write_text("postgresql://ada:secret@db/chat")
    there = place(tmp_path, f"[store]\ndatabase_url_file = '{url}'\n")
    url.unlink()
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge({"limits": {"factor": 0}, "access": {"guests": True}}, tags=None, by="ada")
    told = "\n".join(caught.value.problems)
    assert str(tmp_path) not in told
    assert any(problem.startswith("limits.factor: ") for problem in caught.value.problems)
    assert "in the server's file, not in this change: store.database_url: a file cannot be read" in told
    there.write("no toml")
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge({"access": {"guests": True}}, tags=None, by="ada")
    assert caught.value.problems[0].startswith("in the server's file, not in this change: file: is not TOML")
    assert str(tmp_path) not in caught.value.problems[0]


async def test_each_reload_is_told(tmp_path: Path) -> None:
    """Why it was, what it changed, whether it was taken; what an admin's call changes is told by that call."""
    there = place(tmp_path)
    told: list[tuple[str, list[str], bool]] = []
    there.reader.tell(lambda why, keys, taken: told.append((why, list(keys), taken)))
    there.write("[access]\nguests = true\n")
    await there.reader.reload("file")
    await there.reader.reload("signal")
    await there.reader.merge({"limits": {"factor": 2}}, tags=None, by="ada")
    there.write("guests")
    await there.reader.reload("file")
    assert told == [("file", ["access.guests"], True), ("signal", [], True), ("file", [], False)]


async def test_settings_of_admins_that_would_not_be_read_again_are_refused(tmp_path: Path) -> None:
    """All of them together have a bound: past it the server would not start any more."""
    there = place(tmp_path)
    names = ("issuer", "name_claim", "role_claim")
    for name in names:
        await there.reader.merge({"jwt": {name: "x" * 80_000}}, tags=None, by="ada")
    with pytest.raises(SettingsRefused) as caught:
        await there.reader.merge({"jwt": {"audiences": ["x" * 80_000]}}, tags=None, by="ada")
    assert "longer than" in caught.value.problems[0]
    assert set(overrides.read(tmp_path)["jwt"]) == set(names)


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named on the command line, else by HUBBUB_CONFIG, else in the usual place, where it may lack."""
    monkeypatch.setenv("HUBBUB_CONFIG", str(tmp_path / "b.toml"))
    named = sources_of(tmp_path / "a.toml", {"port": 1, "guests": None})
    assert (named.file, named.file_may_lack, list(named.flags)) == (tmp_path / "a.toml", False, [("serve", "port")])
    assert sources_of(None, {}).file == tmp_path / "b.toml"
    monkeypatch.delenv("HUBBUB_CONFIG")
    assert sources_of(None, {}).file_may_lack
