"""A configuration without files, for endpoints that show and change one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from hubbub.transport.config_calls import ConfigStatus


@attrs.define
class Written:
    """A configuration that notes what it is asked to change."""

    status: ConfigStatus = attrs.field(factory=lambda: ConfigStatus(generation=3))
    tag: str = "3.abc"
    error: Exception | None = None
    merged: list[tuple[Mapping[str, Any], frozenset[str] | None, str]] = attrs.field(factory=list)

    def document(self) -> Mapping[str, Any]:
        return {"settings": {"access": {"guests": True}}, "origins": {"access.guests": "hubbub.toml:2"}}

    def tell(self, told: Callable[[str, Sequence[str], bool], None]) -> None:
        pass  # it is never read again

    async def merge(self, patch: Mapping[str, Any], *, tags: frozenset[str] | None, by: str) -> None:
        self.merged.append((patch, tags, by))
        if self.error is not None:
            raise self.error
