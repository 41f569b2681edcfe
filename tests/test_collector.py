"""The garbage collector of a server process; in a process of its own, since freezing is for ever."""

import subprocess
import sys

from hubbub.collector import THRESHOLDS

SETTLED = """
import gc, sys
import hubbub.commands.serve
from hubbub.collector import settle

class Cycle: pass

def leave():
    cycle = Cycle()
    cycle.itself = cycle

before = gc.get_threshold()
settle()
frozen = gc.get_freeze_count()
leave()
print(before != gc.get_threshold(), *gc.get_threshold(), frozen > 10_000, gc.isenabled(), gc.collect() > 0)
"""


def test_what_is_there_at_the_start_is_set_aside_and_the_rest_still_collected() -> None:
    """Thresholds are raised, never to the point of switching it off, and later cycles are found."""
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", *map(str, THRESHOLDS), "True", "True", "True"]
