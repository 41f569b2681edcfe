"""The page docs/testing.md: its project runs as printed, the contract on a store in SQLite included."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def files() -> dict[str, str]:
    """The blocks of the page by the name in their first line."""
    blocks = re.findall(
        r"^```(?:python|ini)\n# ([\w.]+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return dict(blocks)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of the page, written into a folder."""
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_block_is_a_file() -> None:
    """No block of the page escapes the test below."""
    assert len(files()) == len(re.findall(r"^```\w+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize(
    ("file", "least"),
    [("test_answering.py", 3), ("test_reading.py", 1), ("test_passes.py", 6), ("test_sqlite_store.py", 39)],
)
def test_the_tests_of_the_page_pass(project: Path, file: str, least: int) -> None:
    """Each test file passes in a folder of its own, without a warning, and holds as many tests as it should."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed.group(1)) >= least
