"""The public kit: every name is there, and importing it needs neither pytest nor a server."""

import subprocess
import sys

import pytest

import hubbub.testing
from hubbub.testing import store_contract


@pytest.mark.parametrize("module", [hubbub.testing, store_contract], ids=["kit", "contract"])
def test_every_public_name_can_be_had(module: object) -> None:
    """`__all__` names nothing twice, and each name exists."""
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert getattr(module, name) is not None


def imported_with(statement: str, *names: str) -> str:
    """Which of some modules a statement imports."""
    program = f"import sys\n{statement}\nprint([m for m in {names!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_the_kit_needs_no_test_framework_and_loads_no_server() -> None:
    """It is of use in any framework, and in none; only the contract is made of pytest."""
    heavy = ("pytest", "hypothesis", "pytest_trio", "hubbub.transport.serve", "quart", "hypercorn")
    assert imported_with("import hubbub.testing", *heavy) == "[]"


def test_the_library_does_without_the_kit() -> None:
    """Importing hubbub and all that it re-exports loads nothing of `hubbub.testing`."""
    everything = "import hubbub\nfor name in hubbub.__all__: getattr(hubbub, name)"
    assert imported_with(everything, "hubbub.testing") == "[]"
