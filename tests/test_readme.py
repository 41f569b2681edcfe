"""The README's examples of embedding are programs that run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .serverproc import data_folder

README = Path(__file__).parent.parent / "README.md"


def embedding_examples() -> list[str]:
    """The blocks of Python that open an engine: in memory, then durable."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if "Engine.open" in block]


def run(program: str, folder: Path) -> str:
    """Run it as a file in a folder; its output."""
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-I", str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_the_embedding_example_runs(tmp_path: Path) -> None:
    """A reader pastes it into a file and sees the message it posts; nothing is listened on, nothing is left on disk."""
    in_memory, _ = embedding_examples()
    assert run(in_memory, tmp_path) == "1 ada hello\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "program.py"]


@pytest.mark.postgres
def test_the_durable_example_finds_its_message_again() -> None:
    """Run twice it posts once: the second run opens what the first one left."""
    _, durable = embedding_examples()
    with data_folder() as data:
        assert [run(durable, data.parent) for _ in range(2)] == ["1\n", "1\n"]
        assert data.is_dir()


@pytest.mark.parametrize("number", [0, 1])
def test_the_embedding_examples_are_short(number: int) -> None:
    """They stay something to read at a glance."""
    assert len([line for line in embedding_examples()[number].splitlines() if line.strip()]) <= 18
