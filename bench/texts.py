"""What a bench post says: its number, when it was meant to be sent, and padding to the wanted size. Pure.

The time travels in the text, on the system-wide monotonic clock, so every generator process on this machine can take
the latency of a delivery without asking the one that posted it. A text that opens as ours and does not end as ours
was corrupted on the way; a text that does not open as ours belongs to someone else in the room.
"""

from __future__ import annotations

import string
from random import Random
from typing import Final

import attrs

MIN_BYTES: Final = 64  # run, number and time take up to 50


@attrs.frozen
class Mark:
    """A post as read back from an event."""

    number: int
    intended_ns: int


class CorruptText(Exception):
    """The text opens as one of ours and is not what was posted."""


class Texts:
    """Writes and reads the texts of one run; all ASCII, so bytes and characters are the same count.

    Args:
        run: The run's id, letters and digits, at most 16.
        size_bytes: Length of every text, at least `MIN_BYTES`.
        seed: Seed of the padding.
    """

    def __init__(self, run: str, size_bytes: int, seed: int) -> None:
        if size_bytes < MIN_BYTES:
            raise ValueError(f"a text takes at least {MIN_BYTES} bytes")
        self._open: Final = f"{run}:"
        self._size: Final = size_bytes
        # Without spaces, so that the head of a text can be its idempotency key.
        self._padding: Final = "".join(Random(seed).choices(string.ascii_letters + "-", k=size_bytes))

    def write(self, number: int, intended_ns: int) -> str:
        """The text of the post with this number."""
        head = f"{self._open}{number}:{intended_ns}:"
        return head + self._padding[len(head) :]

    def read(self, text: str) -> Mark | None:
        """What a text says; None when it is not of this run.

        Raises:
            CorruptText: It is of this run and was changed.
        """
        if not text.startswith(self._open):
            return None
        parts = text[:MIN_BYTES].split(":", 3)
        if len(parts) == 4 and parts[1].isdecimal() and parts[2].isdecimal():
            mark = Mark(int(parts[1]), int(parts[2]))
            if text == self.write(mark.number, mark.intended_ns):
                return mark
        raise CorruptText(text[:MIN_BYTES])
