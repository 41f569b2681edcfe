"""Traces for OpenTelemetry: the spans of a post's way, what stands in them, and that a server sends them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hubbub.cli import cli
from hubbub.engine import Draft, Engine
from hubbub.storage import MemoryStore
from hubbub.testing import open_test_server
from hubbub.tracing import Tracing

from .serverproc import data_folder, running_server

TEXT = "embarrassing-figures"
STAGES = ["mailbox", "queue", "commit", "fan-out"]


class Collector:
    """Spans in memory, and the tracing that makes them."""

    def __init__(self, sample: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing.through(SimpleSpanProcessor(self._exporter), sample)

    def roots(self) -> list[ReadableSpan]:
        """The posts."""
        return [span for span in self._exporter.get_finished_spans() if span.parent is None]

    def stages(self, root: ReadableSpan) -> list[ReadableSpan]:
        """A post's stages, in the order of their ends."""
        assert root.context is not None
        found = [span for span in self._exporter.get_finished_spans() if span.parent is not None]
        return [span for span in found if span.parent and span.parent.span_id == root.context.span_id]


async def test_a_post_is_a_trace_of_stages_without_gaps() -> None:
    """Each stage begins where the one before ended; the post spans them; ids and the offset are there, the text is not."""
    collector = Collector()
    async with Engine.open(store=MemoryStore(), tracer=collector.tracing.tracer) as engine:
        room = await engine.create("room")
        acks = [await room.post(Draft(TEXT, author="ada", idempotency_key=str(number))) for number in range(3)]
    roots = collector.roots()
    assert len({root.context.trace_id for root in roots if root.context}) == 3
    for ack, root in zip(acks, roots, strict=True):
        stages = collector.stages(root)
        assert [stage.name for stage in stages] == STAGES
        edges = [(span.start_time, span.end_time) for span in stages]
        assert [begin for begin, _ in edges[1:]] == [end for _, end in edges[:-1]]
        assert (edges[0][0], edges[-1][1]) == (root.start_time, root.end_time)
        assert root.attributes is not None
        assert dict(root.attributes) == {
            "hubbub.conversation.id": "room",
            "hubbub.message.id": ack.message.id,
            "hubbub.event.type": "message.created",
            "hubbub.outcome": "committed",
            "hubbub.batch.rows": 1,
            "hubbub.offset": ack.message.offset,
            "hubbub.readers": 0,
        }
        assert TEXT not in root.to_json() + "".join(stage.to_json() for stage in stages)


@pytest.mark.parametrize(("sample", "least", "most"), [(0.0, 0, 0), (0.5, 1, 99), (1.0, 100, 100)])
async def test_a_share_of_the_posts_is_traced(sample: float, least: int, most: int) -> None:
    """None, some, or all of a hundred; half of them is never none or all (2 to the power of -99)."""
    collector = Collector(sample)
    async with Engine.open(store=MemoryStore(), tracer=collector.tracing.tracer) as engine:
        room = await engine.create("room")
        for number in range(100):
            await room.post(Draft(str(number), author="ada"))
    assert least <= len(collector.roots()) <= most


async def test_posts_over_a_real_port_are_traced() -> None:
    """A request's own post: the id that its answer names is the span's."""
    collector = Collector()
    async with (
        Engine.open(store=MemoryStore(), tracer=collector.tracing.tracer) as engine,
        open_test_server(engine) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        token = (await client.post("/api/v1/auth/guest", json={"name": "Ada"})).json()["token"]
        path, bearer = "/api/v1/conversations/lobby/messages", {"Authorization": f"Bearer {token}"}
        answer = await client.post(path, json={"text": TEXT}, headers=bearer)
    [root] = collector.roots()
    assert answer.status_code == 201
    assert root.attributes is not None
    assert root.attributes["hubbub.message.id"] == answer.json()["id"]
    assert [stage.name for stage in collector.stages(root)] == STAGES


@contextmanager
def sink() -> Iterator[tuple[str, list[bytes]]]:
    """A collector's URL, and the bodies that it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.server
def test_a_server_sends_its_traces_also_the_last_ones(tmp_path: Path) -> None:
    """What waits when it is told to stop reaches the collector; texts and tokens do not."""
    file = tmp_path / "hubbub.toml"
    with sink() as (url, bodies), data_folder() as data:
        file.write_text(f'[otel]\nendpoint = "{url}"\nsample_ratio = 1.0\n')
        with running_server(data, "--config", str(file)) as server:
            answer = httpx.post(server.url + "/api/v1/auth/guest", json={"name": "Ada"}, trust_env=False)
            token = str(answer.json()["token"])
            posted = httpx.post(
                server.url + "/api/v1/conversations/lobby/messages",
                json={"text": TEXT},
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
            )
            server.terminate()
            assert server.wait() == 0
    sent = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    spans = [
        span for each in sent for part in each.resource_spans for scope in part.scope_spans for span in scope.spans
    ]
    [root] = [span for span in spans if span.name == "post"]
    assert posted.json()["id"] in str(root.attributes)
    assert sorted(span.name for span in spans) == sorted(["post", *STAGES])
    whole = b"".join(bodies)
    assert TEXT.encode() not in whole
    assert token.encode() not in whole
    assert b"service.name" in whole


def test_without_the_package_a_start_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 before anything is started, with the command that helps."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    environment = {"HUBBUB_OTEL__ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    done = CliRunner().invoke(cli, ["serve", "--data", str(tmp_path / "data")], env=environment)
    assert done.exit_code == 1
    assert 'pip install "hubbub[otel]"' in done.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "url", ["collector:4318", "grpc://collector:4317", "http://", "https://ada:secret@collector/v1"]
)
def test_an_endpoint_is_a_url_without_a_password(tmp_path: Path, url: str) -> None:
    """What cannot be meant, and what would stand in the open, is refused with the setting's name."""
    arguments = ["serve", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(cli, arguments, env={"HUBBUB_OTEL__ENDPOINT": url})
    assert done.exit_code == 1
    assert "HUBBUB_OTEL__ENDPOINT" in done.output
