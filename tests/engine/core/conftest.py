"""Hypothesis under a shared machine: no deadline per example, because a neighbour's burst is not our slowness."""

from hypothesis import settings

settings.register_profile("core", deadline=None, max_examples=60, stateful_step_count=40)
settings.load_profile("core")
