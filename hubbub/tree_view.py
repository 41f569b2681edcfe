"""A supervision tree as a terminal shows it, made from the server's JSON. Names and reasons are shown harmless."""

from __future__ import annotations

from typing import Final

import msgspec
from rich.text import Text
from rich.tree import Tree

from .terminal import harmless

_STYLES: Final = {
    "running": "green",
    "starting": "yellow",
    "backoff": "yellow",
    "stopping": "yellow",
    "quarantined": "bold red",
    "stopped": "red",
}


class TreeNode(msgspec.Struct, frozen=True):
    """One supervisor, registry, actor or task, as `/api/v1/admin/tree` tells it."""

    name: str
    kind: str
    state: str
    restarts: int = 0
    depth: int | None = None
    capacity: int | None = None
    reason: str = ""
    omitted: int = 0
    children: tuple[TreeNode, ...] = ()


class TreeAnswer(msgspec.Struct, frozen=True):
    """The whole answer."""

    tree: TreeNode


def drawn(node: TreeNode) -> Tree:
    """The tree with its branches."""
    root = Tree(_label(node), guide_style="dim")
    _grow(root, node)
    return root


def _grow(branch: Tree, node: TreeNode) -> None:
    for child in node.children:
        _grow(branch.add(_label(child)), child)
    if node.omitted:
        branch.add(Text(f"... {node.omitted:,} more", style="dim"))


def _label(node: TreeNode) -> Text:
    label = Text(harmless(node.name), style="bold" if node.children else "")
    label.append(f" ({harmless(node.kind)}) ", style="dim")
    label.append(harmless(node.state), style=_STYLES.get(node.state, "dim"))
    if node.depth is not None:
        what = "live" if node.kind == "registry" else "mailbox"
        label.append(f"  {what} {node.depth:,}/{node.capacity or 0:,}")
    if node.restarts:
        label.append(f"  restarts {node.restarts:,}", style="yellow")
    if node.reason:
        label.append(f"  {harmless(node.reason)}", style="red")
    return label
