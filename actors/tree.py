"""The supervision tree as values: a snapshot that can be read, walked and printed while everything runs."""

from collections.abc import Iterator
from typing import Literal

import attrs

NodeKind = Literal["supervisor", "actor", "task", "registry"]


@attrs.frozen
class Node:
    """One supervisor, registry, actor or task.

    Attributes:
        name: unique among its siblings.
        kind: what it is.
        state: "starting", "running", "stopping", "backoff" (waits for its restart) or "stopped"; of a registry's key
            also "idle" and "quarantined".
        restarts: how often it was restarted.
        depth: messages in its mailbox, None without one.
        capacity: the mailbox's bound; of a registry, most live keys.
        children: below it, in start order.
        omitted: children left out, to keep the snapshot bounded.
        reason: why a registry's key is quarantined, in one line; empty when it is not.
    """

    name: str
    kind: NodeKind
    state: str
    restarts: int = 0
    depth: int | None = None
    capacity: int | None = None
    children: tuple["Node", ...] = ()
    omitted: int = 0
    reason: str = ""

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def render(self) -> str:
        """Lines for people, one node each, indented by level."""
        return "\n".join(self._lines(0))

    def _lines(self, level: int) -> Iterator[str]:
        indent = "  " * level
        what = "live" if self.kind == "registry" else "mailbox"
        mailbox = f" {what} {self.depth}/{self.capacity}" if self.depth is not None else ""
        restarts = f" restarts {self.restarts}" if self.restarts else ""
        reason = f" because of {self.reason}" if self.reason else ""
        yield f"{indent}{self.name} ({self.kind}) {self.state}{mailbox}{restarts}{reason}"
        for child in self.children:
            yield from child._lines(level + 1)
        if self.omitted:
            yield f"{indent}  ... {self.omitted} more"
