"""The README's example of embedding is a program that runs."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def embedding_example() -> str:
    """The first block of Python that opens an engine."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if "Engine.open" in block)


def test_the_embedding_example_runs(tmp_path: Path) -> None:
    """A reader pastes it into a file and sees the message it posts; nothing is listened on, nothing is left on disk."""
    program = tmp_path / "program.py"
    program.write_text(embedding_example(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-I", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "1 ada hello\n"
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == [program]


def test_the_embedding_example_is_short() -> None:
    """It stays something to read at a glance."""
    assert len([line for line in embedding_example().splitlines() if line.strip()]) <= 18
