"""The page docs/actors.md: its example runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "actors.md"


def test_the_counter_of_the_page_runs() -> None:
    """The code block of the page prints the running total, warning-free."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 1
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks[0]], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.stdout.split()) == ("", ["1", "3", "6"])


def test_the_counter_is_about_twenty_lines() -> None:
    """The example stays small: 20 statements or definitions."""
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert block is not None
    lines = [line for line in block.group(1).splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= 20
