"""``hubbub config``: check, show, example; and that the documentation says what there is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hubbub.cli import cli
from hubbub.config.documents import example, markdown_table
from hubbub.config.loader import Sources, load
from hubbub.config.tree import Config, schema

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUBBUB_CONFIG", raising=False)


def run(*arguments: str) -> Result:
    """A command of ours, on data of its own."""
    return CliRunner().invoke(cli, ["config", *arguments], env={"COLUMNS": "200"})


def test_a_good_file(tmp_path: Path) -> None:
    """Exit code 0, and what was read."""
    file = tmp_path / "a.toml"
    file.write_text("[access]\nguests = true\n")
    done = run("check", "--config", str(file), "--data", str(tmp_path))
    assert (done.exit_code, done.output) == (0, f"good: {file}, flags\n")
    assert json.loads(run("check", "--config", str(file), "--data", str(tmp_path), "--json").output)["ok"] is True


def test_a_file_that_is_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs as root and has a file lying here would believe it in force."""
    (tmp_path / "hubbub.toml").write_text("[access]\nguests = true\n")
    monkeypatch.setattr("hubbub.config.sources.os.geteuid", lambda: 0)
    done = run("check", "--data", str(tmp_path))
    assert done.exit_code == 0
    assert "./hubbub.toml is not read here" in done.output
    monkeypatch.setattr("hubbub.config.sources.os.geteuid", lambda: 1)
    assert f"good: {tmp_path / 'hubbub.toml'}" in run("check", "--data", str(tmp_path)).output


def test_a_bad_file(tmp_path: Path) -> None:
    """Exit code 1 and one line for each problem; as JSON for programs."""
    file = tmp_path / "a.toml"
    file.write_text("[acess]\n[serve]\nport = 99999\n")
    done = run("check", "--config", str(file), "--data", str(tmp_path))
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"{file}:1: acess: there is no such setting; did you mean access?",
        f"{file}:3: serve.port: must be <= 65535: 99999",
    ]
    told = json.loads(run("check", "--config", str(file), "--data", str(tmp_path), "--json").output)
    assert told["problems"][1] == {"key": "serve.port", "origin": f"{file}:3", "message": "must be <= 65535: 99999"}


def test_what_is_in_force_and_why(tmp_path: Path) -> None:
    """Values with their sources; secrets hidden, in both forms."""
    file = tmp_path / "a.toml"
    file.write_text("[store]\ndatabase_url = 'postgresql://a:hunter2@b/c'\n[serve]\nport = 9\n")
    shown = run("show", "--config", str(file), "--data", str(tmp_path))
    assert shown.exit_code == 0
    assert f"serve.port\t9\t{file}:4\t" in shown.output.splitlines()
    assert "(hidden)" in shown.output
    told = run("show", "--config", str(file), "--data", str(tmp_path), "--json", "--all")
    rows = json.loads(told.output)
    assert rows["serve.port"] == {"value": 9, "origin": f"{file}:4", "live": False, "takes": "a whole number"}
    assert rows["store.database_url"]["value"] == "(hidden)"
    assert rows["access.guests"] == {"value": False, "origin": "default", "live": True, "takes": "true or false"}
    assert set(rows) == {leaf.key for leaf in schema().leaves.values()}
    assert "hunter2" not in shown.output + told.output


def test_a_short_secret_says_what_is_long_enough(tmp_path: Path) -> None:
    """In the file and in a file of its own: the least length, how to make one, and nothing of the secret."""
    secret, file = tmp_path / "secret", tmp_path / "a.toml"
    secret.write_text("hunter2\n")
    for line in ("hmac_secrets = ['hunter2']", f"hmac_secret_files = ['{secret}']"):
        file.write_text(f"[jwt]\n{line}\n")
        said = run("check", "--config", str(file), "--data", str(tmp_path))
        assert said.exit_code == 1
        assert "32 bytes" in said.output
        assert "openssl rand -hex 32" in said.output
        assert "hunter2" not in said.output


def test_nothing_was_said(tmp_path: Path) -> None:
    """What was typed is shown all the same."""
    done = run("show", "--data", str(tmp_path))
    assert done.output == f'store.data\t"{tmp_path}"\t--data\t\n'


def test_the_example_changes_nothing(tmp_path: Path) -> None:
    """As printed, and with every line taken in use: it says each default as it is."""
    printed = run("example").output
    assert printed == example()
    used = re.sub(r"^#(\w)", r"\1", printed, flags=re.MULTILINE)
    for number, text in enumerate((printed, used)):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert load(Sources(file=file)).config == Config()
    said = load(Sources(file=tmp_path / "1.toml")).origins
    without = {leaf.path for leaf in schema().leaves.values() if leaf.default is None or leaf.secret}
    assert set(said) == set(schema().leaves) - without
    assert tomllib.loads(printed).keys() <= {path[0] for path in schema().sections}


def test_the_example_says_everything() -> None:
    """Also what has no default, and secrets with the key of their file."""
    text = example()
    for leaf in schema().leaves.values():
        assert f"#{leaf.path[-1]} = " in text
        if leaf.secret:
            assert f"#{leaf.file_path[-1]} = " in text


def test_the_documentation_has_the_table_of_the_tree() -> None:
    """`python -m tests.config.write_docs` puts it there; it is not written by hand."""
    assert markdown_table() == run("example", "--markdown").output
    assert markdown_table() in DOCS.read_text()
