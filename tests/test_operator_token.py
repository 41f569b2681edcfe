"""Where the operator's token is kept, and which files are believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hubbub.operator_token import FILE_NAME, TokenFileError, keep, load
from hubbub.transport.operator import OperatorKey


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    """The next start finds it; nobody else may read it."""
    directory = tmp_path / "data"
    token = keep(directory)
    assert keep(directory) == load(directory) == token
    assert len(token) > 40
    status = (directory / FILE_NAME).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())
    assert [entry.name for entry in directory.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_that_others_can_know_is_replaced(tmp_path: Path, mode: int) -> None:
    """A file that was open to others gives way to a fresh one."""
    token = keep(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    assert keep(tmp_path) != token
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"hunter2\n", b"hbo_changeme\n", b"hbo_\xff\xfe", b"\0" * 5000])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    """What is no token is none."""
    keep(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(TokenFileError, match="no operator's token"):
        load(tmp_path)
    assert load_after_keep(tmp_path).startswith("hbo_")


def load_after_keep(directory: Path) -> str:
    keep(directory)
    return load(directory)


@pytest.mark.parametrize("chars", range(26, 36))
def test_what_is_kept_is_good_enough_for_the_server(tmp_path: Path, chars: int) -> None:
    """Whatever somebody wrote into the file by hand."""
    path = tmp_path / FILE_NAME
    path.write_text("hbo_" + "x" * (chars - 4) + "\n")
    path.chmod(0o600)
    assert OperatorKey.of(keep(tmp_path)).admits(load(tmp_path))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The user that Postgres runs as cannot make the server believe a file of its choice: the link gives way to a token."""
    elsewhere, directory = tmp_path / "elsewhere", tmp_path / "data"
    directory.mkdir()
    elsewhere.write_text("hbo_" + "e" * 43)
    elsewhere.chmod(0o600)
    (directory / FILE_NAME).symlink_to(elsewhere)
    with pytest.raises(TokenFileError):
        load(directory)
    token = keep(directory)
    assert token != "hbo_" + "e" * 43
    assert load(directory) == token
    assert stat.S_ISREG((directory / FILE_NAME).lstat().st_mode)
    assert elsewhere.read_text() == "hbo_" + "e" * 43


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenFileError, match=FILE_NAME):
        keep(tmp_path / "file")


def test_without_a_server_there_is_none(tmp_path: Path) -> None:
    """The message says which option names the directory."""
    with pytest.raises(TokenFileError, match="--data"):
        load(tmp_path / "nothing")
