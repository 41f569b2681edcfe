"""The loader: who has the last word, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config.errors import MAX_PROBLEMS, ConfigError
from hubbub.config.loader import Loaded, Sources, load
from hubbub.config.sources import MAX_FILE_BYTES, Flag
from hubbub.config.tree import Config

PORT = ("serve", "port")


def loaded(
    tmp_path: Path,
    text: str = "",
    *,
    admin: dict[str, object] | None = None,
    flags: dict[str, object] | None = None,
    **variables: str,
) -> Loaded:
    """What comes of a file, of admins' settings, of flags (by dotted key) and of the environment."""
    file = tmp_path / "hubbub.toml"
    file.write_text(text)
    given = {tuple(key.split(".")): Flag("--" + key, value) for key, value in (flags or {}).items()}
    return load(Sources(file=file, environment=variables, flags=given), admin, "DATA/admin-settings.json")


def lines(tmp_path: Path, text: str = "", **rest: object) -> list[str]:
    """What is wrong, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **rest)  # type: ignore[arg-type]
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines()]


def test_without_sources_all_is_at_its_default() -> None:
    """No file, no variable, no flag."""
    found = load(Sources())
    assert found.config == Config()
    assert not found.origins


def test_the_later_source_has_the_last_word(tmp_path: Path) -> None:
    """Defaults, file, settings of admins, environment, flags; and each value knows who said it."""
    text = "[access]\nguests = true\n[serve]\nport = 1\nhost = 'file'\ndrain_s = 3\n"
    found = loaded(
        tmp_path,
        text,
        admin={"access": {"guests": False}},
        flags={"serve.port": 3},
        HUBBUB_SERVE__PORT="2",
        HUBBUB_SERVE__HOST="environment",
    )
    serve = found.config.static.serve
    assert (serve.port, serve.host, serve.drain_s, serve.backlog) == (3, "environment", 3.0, 4096)
    assert found.config.live.access.guests is False
    said = {".".join(path): (origin.kind, origin.place.rpartition("/")[2]) for path, origin in found.origins.items()}
    assert said == {
        "access.guests": ("admin", "admin-settings.json"),
        "serve.port": ("flag", "--serve.port"),
        "serve.host": ("environment", "HUBBUB_SERVE__HOST"),
        "serve.drain_s": ("file", "hubbub.toml:6"),
    }


def test_the_environment_beats_admins(tmp_path: Path) -> None:
    """Who starts the server has the last word."""
    found = loaded(tmp_path, admin={"access": {"guests": False}}, HUBBUB_ACCESS__GUESTS="yes")
    assert found.config.live.access.guests is True


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """With file and line, variable or flag, the nearest known key, the type that is taken, and the bound."""
    text = "[serve]\nprot = 1\nport = 'x'\n[serve.tabel]\na = 1\n[engine]\ntick_s = 0\n"
    found = lines(tmp_path, text, flags={"serve.port": 99999}, HUBBUB_ENGINE__IDEL_S="3", HUBBUB_WRITER__PACE_S="soon")
    assert found == [
        "hubbub.toml:2: serve.prot: there is no such setting; did you mean serve.port?",
        "hubbub.toml:4: serve.tabel: there is no such setting; did you mean serve.table?",
        "HUBBUB_ENGINE__IDEL_S: there is no such setting; did you mean HUBBUB_ENGINE__IDLE_S?",
        "HUBBUB_WRITER__PACE_S: writer.pace_s: takes a number, not the text 'soon'",
        "--serve.port: serve.port: must be <= 65535: 99999",
        "hubbub.toml:7: engine.tick_s: must be > 0.0: 0.0",
    ]


def test_a_section_is_no_setting(tmp_path: Path) -> None:
    """And a setting is no section."""
    assert lines(tmp_path, "serve = 1\n[access.guests]\nx = 1\n") == [
        "hubbub.toml:1: serve: is a section, not a setting",
        "hubbub.toml:2: access.guests: takes true or false, not a table",
    ]


def test_a_rule_between_settings_is_told_for_their_section(tmp_path: Path) -> None:
    """Each is good alone; they are not, together."""
    assert lines(tmp_path, "[security_txt]\ncontact = ['mailto:a@example.org']\n") == [
        "hubbub.toml:2: security_txt: a contact needs 'expires' beside it (RFC 9116)"
    ]


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    """The reader's own words; other sources are checked all the same."""
    first, second = lines(tmp_path, "[serve]\nport = \n", HUBBUB_X__Y="1")
    assert first.startswith("hubbub.toml: is not TOML: ")
    assert "line 2" in first
    assert second == "HUBBUB_X__Y: there is no such setting"


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """One in the usual place may lack."""
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(Sources(file=missing))
    assert load(Sources(file=missing, file_may_lack=True)).config == Config()


def test_a_file_in_the_usual_place_that_cannot_be_looked_at_is_a_mistake(tmp_path: Path) -> None:
    """Only one that is not there counts as empty: nobody gets defaults for want of a permission."""
    file = tmp_path / "hubbub.toml"
    assert load(Sources(file=file, file_may_lack=True)).config == Config()
    file.symlink_to(file)
    with pytest.raises(ConfigError, match="cannot be read: Too many levels of symbolic links"):
        load(Sources(file=file, file_may_lack=True))


def test_a_file_has_a_bound_and_is_text(tmp_path: Path) -> None:
    """A device, a disk image or a binary by mistake is no configuration."""
    assert lines(tmp_path, "#" * (MAX_FILE_BYTES + 1)) == [f"hubbub.toml: is longer than {MAX_FILE_BYTES} bytes"]
    assert lines(tmp_path, "a = " + "[" * 50_000 + "]" * 50_000) == ["hubbub.toml: is nested too deeply"]
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(Sources(file=file))


def test_very_many_problems_are_counted(tmp_path: Path) -> None:
    """The answer has a bound, too."""
    found = lines(tmp_path, "\n".join(f"key{number} = 1" for number in range(200)))
    assert (len(found), found[-1]) == (MAX_PROBLEMS + 1, "and 150 more")


def test_variables_of_others_are_passed_over() -> None:
    """Kubernetes makes such for a service of this name; the client's own have no section."""
    variables = {
        "HUBBUB_PORT": "tcp://10.0.0.1:8000",
        "HUBBUB_SERVICE_HOST": "10.0.0.1",
        "HUBBUB_URL": "x",
        "A__B": "1",
    }
    assert load(Sources(environment=variables)).config == Config()


def test_a_variable_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 come as lone surrogates: what holds one could be neither shown nor compared."""
    assert lines(tmp_path, HUBBUB_JWT__ISSUER="a\udcff") == ["HUBBUB_JWT__ISSUER: jwt.issuer: is not UTF-8"]


def test_admins_say_live_settings_only(tmp_path: Path) -> None:
    """Neither what needs a restart nor secrets; also when the file in the data directory was edited."""
    found = lines(tmp_path, admin={"serve": {"port": 1}, "store": {"database_url": "hunter2"}, "acess": {}})
    assert [line.removeprefix("DATA/admin-settings.json: ") for line in found] == [
        "acess: there is no such setting; did you mean access?",
        "serve.port: needs a restart: it belongs into the file",
        "store.database_url: is a secret: it belongs into a file or the environment, not into an admin's call",
    ]


class TestSecrets:
    """Secrets stand in files of their own, and are shown nowhere."""

    URL = "postgresql://ada:hunter2@db/chat"

    def test_from_a_file_of_its_own(self, tmp_path: Path) -> None:
        """Without the line end that editors add."""
        secret = tmp_path / "url"
        secret.write_text(self.URL + "\n")
        secret.chmod(0o600)
        found = loaded(tmp_path, f"[store]\ndatabase_url_file = '{secret}'\n")
        url = found.config.static.store.database_url
        assert url is not None
        assert url.reveal() == self.URL
        assert (found.warnings, found.secret_files) == ((), (secret,))
        assert "hunter2" not in repr(found)

    def test_several_secrets_in_one_file(self, tmp_path: Path) -> None:
        """One on each line, whatever characters it has."""
        one, two = "a,b" * 16, "c" * 32
        secrets = tmp_path / "secrets"
        secrets.write_text(f"{one}\n{two}\n")
        found = loaded(tmp_path, f"[jwt]\nhmac_secrets_file = '{secrets}'\n")
        assert found.config.live.jwt.hmac_secrets == (one, two)

    def test_a_file_that_others_can_read_is_warned_of(self, tmp_path: Path) -> None:
        """It works all the same: mounted secrets of containers are like that."""
        secret = tmp_path / "url"
        secret.write_text(self.URL)
        secret.chmod(0o640)
        found = loaded(tmp_path, HUBBUB_STORE__DATABASE_URL_FILE=str(secret))
        assert found.warnings == (f"{secret} can be read by others (mode 0640): chmod 600",)

    def test_the_later_source_wins_whichever_way_it_says_it(self, tmp_path: Path) -> None:
        """A file named by the file gives way to a value in the environment, and the other way round."""
        secret = tmp_path / "url"
        secret.write_text(self.URL)
        other = "postgresql://other"
        by_value = loaded(tmp_path, f"[store]\ndatabase_url_file = '{secret}'\n", HUBBUB_STORE__DATABASE_URL=other)
        by_file = loaded(tmp_path, f"[store]\ndatabase_url = '{other}'\n", HUBBUB_STORE__DATABASE_URL_FILE=str(secret))
        urls = [each.config.static.store.database_url for each in (by_value, by_file)]
        assert [url.reveal() for url in urls if url] == [other, self.URL]

    def test_one_source_says_it_in_one_way(self, tmp_path: Path) -> None:
        """Both at once is a mistake."""
        [line] = lines(tmp_path, "[store]\ndatabase_url = 'postgresql://x'\ndatabase_url_file = '/x'\n")
        assert line == "hubbub.toml:2: store.database_url: is also said by store.database_url_file: keep one"

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"x" * 70_000, None], ids=repr)
    def test_a_file_that_holds_none(self, content: bytes | None, tmp_path: Path) -> None:
        """Empty, no text, far too long, or not there: told with its name, never with its content."""
        secret = tmp_path / "url"
        if content is not None:
            secret.write_bytes(content)
        [line] = lines(tmp_path, f"[store]\ndatabase_url_file = '{secret}'\n")
        assert line.startswith("hubbub.toml:2: store.database_url: url ")

    @given(st.sampled_from(["file", "environment", "flag", "own"]), st.sampled_from(["hunter2", "mysql://a:hunter2@x"]))
    def test_no_mistake_shows_a_secret(self, tmp_path_factory: pytest.TempPathFactory, how: str, value: str) -> None:
        """Whoever says it, and however wrong it is."""
        folder = tmp_path_factory.mktemp("secret")
        own = folder / "own"
        own.write_text(value)
        sources = {
            "file": Sources(file=folder / "f"),
            "environment": Sources(environment={"HUBBUB_STORE__DATABASE_URL": value}),
            "flag": Sources(flags={("store", "database_url"): Flag("--database-url", value)}),
            "own": Sources(environment={"HUBBUB_STORE__DATABASE_URL_FILE": str(own)}),
        }
        (folder / "f").write_text(f"[store]\ndatabase_url = ['{value}']\n")
        with pytest.raises(ConfigError) as caught:
            load(sources[how])
        told = [str(caught.value), repr(caught.value), repr(sources[how]), *map(repr, caught.value.problems)]
        assert not any("hunter2" in each for each in told)


def test_a_reading_is_one_value(tmp_path: Path) -> None:
    """Nothing of it can be changed afterwards."""
    found = loaded(tmp_path)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.config = Config()  # type: ignore[misc]
