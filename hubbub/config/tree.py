"""The tree: the settings of all parts, composed. The sections of `StaticSettings` and of `LiveSettings` are one namespace.

A part's settings are defined beside its code; what is defined here belongs to the program as a whole. To add a section, add
a field.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, le, matches_re, optional

from ..engine.core.config import EngineSettings, WriterSettings
from ..engine.core.secret import Secret
from ..logs import LogFormat
from ..transport.live import LiveSettings
from ..transport.serve import ServeSettings
from .schema import Leaf, Schema

_SLOW_RETRY_S: Final[float | None] = 10.0
_SAMPLE_RATIO: Final = 0.01


def _is_postgres_url(instance: object, attribute: object, value: Secret | None) -> None:
    if value is not None and not value.reveal().startswith(("postgresql://", "postgres://")):
        raise ValueError("has the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE")


@attrs.frozen(kw_only=True)
class StoreSettings:
    """Where everything is kept."""

    data: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "data directory: embedded Postgres, operator's token, settings made by admins; "
            "left out: ./hubbub-data, as root /var/lib/hubbub"
        },
    )
    database_url: Secret | None = attrs.field(
        default=None,
        validator=_is_postgres_url,
        metadata={
            "help": "use this Postgres (13 or newer), postgresql://USER:PASSWORD@HOST:PORT/DATABASE; left out: an embedded one"
        },
    )


@attrs.frozen(kw_only=True)
class PostgresSettings:
    """The embedded Postgres; without a meaning where `store.database_url` is given."""

    bin_dir: Path | None = attrs.field(
        default=None, metadata={"help": "take the Postgres programs in this directory; left out: they are found"}
    )
    start_timeout_s: float = attrs.field(
        default=30.0, validator=gt(0), metadata={"help": "a start may take so long, recovery included"}
    )
    stop_timeout_s: float = attrs.field(
        default=15.0, validator=gt(0), metadata={"help": "a shutdown may take so long until it is cut short"}
    )
    shared_buffers: str = attrs.field(
        default="32MB", validator=matches_re(r"[1-9][0-9]{0,8}(kB|MB|GB)?"), metadata={"help": "as in Postgres"}
    )
    max_connections: int = attrs.field(default=20, validator=ge(1), metadata={"help": "as in Postgres"})
    slow_retry_s: float | None = attrs.field(
        default=_SLOW_RETRY_S,
        validator=optional(gt(0.0)),
        metadata={"help": "when it dies again and again, so long before each try"},
    )
    max_log_bytes: int = attrs.field(
        default=1 << 20, validator=gt(0), metadata={"help": "its log is cut at this size; twice as much is kept"}
    )


@attrs.frozen(kw_only=True)
class LogSettings:
    """What the server logs, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = attrs.field(
        default="warning", metadata={"help": "the least important that is logged"}
    )
    format: LogFormat = attrs.field(
        default="console", metadata={"help": "lines for people (console), or one JSON object a line (json)"}
    )


def _is_collector_url(instance: object, attribute: object, value: str | None) -> None:
    if value is None:
        return
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("has the form http://HOST:4318/v1/traces")
    if "@" in parts.netloc:
        raise ValueError("holds no password: headers for the collector stand in OTEL_EXPORTER_OTLP_HEADERS")


@attrs.frozen(kw_only=True)
class OtelSettings:
    """Traces of posts, for an OpenTelemetry collector."""

    endpoint: str | None = attrs.field(
        default=None,
        validator=_is_collector_url,
        metadata={
            "help": "send traces here, OTLP over HTTP: http://HOST:4318/v1/traces (needs hubbub[otel]); left out: no traces"
        },
    )
    sample_ratio: float = attrs.field(
        default=_SAMPLE_RATIO,
        validator=(ge(0.0), le(1.0)),
        metadata={"help": "this share of the posts is traced, 0 to 1"},
    )


@attrs.frozen(kw_only=True)
class StaticSettings:
    """What needs a restart."""

    serve: ServeSettings = attrs.field(factory=ServeSettings)
    store: StoreSettings = attrs.field(factory=StoreSettings)
    postgres: PostgresSettings = attrs.field(factory=PostgresSettings)
    engine: EngineSettings = attrs.field(factory=EngineSettings)
    writer: WriterSettings = attrs.field(factory=WriterSettings)
    log: LogSettings = attrs.field(factory=LogSettings)
    otel: OtelSettings = attrs.field(factory=OtelSettings)


@attrs.frozen(kw_only=True)
class Config:
    """All settings of a server, read from all sources: what needs a restart, and what may change."""

    static: StaticSettings = attrs.field(factory=StaticSettings)
    live: LiveSettings = attrs.field(factory=LiveSettings)

    def value(self, leaf: Leaf) -> object:
        """The value of a setting."""
        found: object = self.live if leaf.live else self.static
        for name in leaf.path:
            found = getattr(found, name)
        return found


@cache
def schema() -> Schema:
    """Every setting of the program."""
    return Schema.of(StaticSettings, LiveSettings)
