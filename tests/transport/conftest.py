"""A clock for tests of real sockets."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from .quiet import QUIET_S


@pytest.fixture
def patient_clock() -> MockClock:
    """As `autojump_clock`, where sockets are real: time stands still until nothing has come over them for a moment.

    What comes from elsewhere than loopback, as from threads and processes, may take longer than any moment: such tests live in
    real time.
    """
    return MockClock(autojump_threshold=QUIET_S)
