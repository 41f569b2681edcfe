"""What happens where a tool or package is missing."""

from pathlib import Path

import pytest

from hubbub.bench.peers.prepare import CServer, NodeServer, NotPackaged, PythonServer, Recipe, Unavailable


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (CServer("epoll.c"), "no cc on PATH"),
        (NodeServer("ws_server.js", "ws"), "no node on PATH"),
        (PythonServer("websockets_server.py", ("no-such-distribution",)), r"no no-such-distribution.*hubbub\[peers\]"),
        (NotPackaged("nobody has it"), "nobody has it"),
    ],
)
def test_what_is_missing_is_named(recipe: Recipe, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that cannot run here says why, and what to do where something can be done."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=why):
        recipe.prepare(tmp_path)


def test_a_compiler_that_refuses_tells_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the compiler's, in one line."""
    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\necho first >&2\necho 'fatal: no headers' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(Unavailable, match="failed: fatal: no headers"):
        CServer("epoll.c").prepare(tmp_path)
