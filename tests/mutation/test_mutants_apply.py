"""Every mutant fits the present sources: it would be worthless, and its row in the table a lie, if it were not applied."""

from pathlib import Path

import pytest

from .mutant import Edit, Mutant, Stale
from .mutants import MUTANTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_applies_and_is_python(mutant: Mutant) -> None:
    """Each search text is there once, the result compiles and is another one, and the tests named exist."""
    for path, text in mutant.mutated(ROOT).items():
        assert text != path.read_text()
    for test in mutant.tests:
        assert (ROOT / test).is_file(), test


def test_names_are_unique() -> None:
    """`--only` names one mutant."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("text", ["", "once, once"])
def test_a_text_that_is_not_there_once_is_refused(text: str) -> None:
    """A mutant that does not fit says so."""
    with pytest.raises(Stale, match="not once"):
        Edit("some.py", "once", "twice").apply(text)
