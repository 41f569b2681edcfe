"""A pytest plugin for mutants: Hypothesis stops at the first failure and does not shrink it; nobody reads the example.

Tests that name no phases of their own take them from the profile that is loaded when they are collected.
"""

from hypothesis import Phase, settings

_PROFILE = "mutation"


def _without_shrinking() -> None:
    settings.register_profile(_PROFILE, settings.default, phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile(_PROFILE)


_without_shrinking()


def pytest_collection_modifyitems() -> None:
    """Profiles that a conftest has loaded meanwhile end when the tests begin."""
    _without_shrinking()
