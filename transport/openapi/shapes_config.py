"""Bodies of the calls about the configuration, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from .parameters import Timestamp, Whole


class Reload(Struct):
    """How the last reading of the configuration went."""

    result: Literal["ok", "failed"]
    at: Annotated[Timestamp | None, Meta(description="When it was; null before the first reload.")]
    problems: Annotated[list[str], Meta(description="Why it was refused; the settings before it stay in force.")]
    needs_restart: Annotated[list[str], Meta(description="Keys whose new values count from the next start only.")]


class Configuration(Struct):
    """All settings. Secrets are hidden."""

    generation: Whole
    reload: Reload
    settings: Annotated[dict[str, Any], Meta(description="Values by section.")]
    origins: Annotated[
        dict[str, str], Meta(description="Who said each setting that is not at its default, by dotted key.")
    ]


class LiveSettingsPatch(Struct):
    """A merge patch (RFC 7396) of live settings: sections with settings; null gives a setting back to the file or the default."""
