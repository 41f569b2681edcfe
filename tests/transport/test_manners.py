"""What every answer carries: request id, safety headers, CORS; the same in both lanes, in streams and in handshakes."""

from __future__ import annotations

import pytest

from hubbub.transport.http_message import RequestHead, Response
from hubbub.transport.manners import EXPOSED_HEADERS, HttpManners, Manners

from .house import head_of
from .world import World, serving

OURS = "https://app.example.org"
OTHER = "https://evil.example.org"
ROOM = "/api/v1/conversations/lobby"
ASK = {"access_control_request_method": "POST"}


def with_cors(*origins: str, **settings: bool) -> dict[str, Manners]:
    return {"manners": Manners(HttpManners(cors_origins=origins, **settings))}


def head(*headers: str, method: str = "GET") -> RequestHead:
    return head_of(method, "/", *headers)


def lane(world: World, cold: bool):
    return world.cold_client() if cold else world.client()


both_lanes = pytest.mark.parametrize("cold", [False, True], ids=["hot", "cold"])


# -- safety


@both_lanes
@pytest.mark.parametrize("path", ["/health", "/", "/nope", "/api/v1/nope", "/api/v1/auth/me", "/static/style.css"])
async def test_every_answer_is_safe_for_browsers(patient_clock, cold, path):
    """nosniff, no referrer and a request id on API answers, pages, files and refusals; nothing of CORS or HSTS unasked."""
    async with serving() as world, lane(world, cold) as client:
        answer = await client.ask("GET", path, origin=OURS)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("x-request-id")
        names = [name for name, _ in answer.headers]
        assert len(names) == len(set(names)), "no header is sent twice"
        assert not any(name.startswith("access-control-") for name in names)
        assert "strict-transport-security" not in names
        assert answer.header("cache-control")


@both_lanes
async def test_what_needs_a_credential_is_kept_by_no_cache(patient_clock, cold):
    """Answers to principals are no-store, refusals too; files may be kept and are asked for again."""
    async with serving() as world:
        bearer = f"Bearer {await world.token()}"
        async with lane(world, cold) as client:
            for path in ("/api/v1/auth/me", "/api/v1/conversations", ROOM, ROOM + "/messages", ROOM + "/presence"):
                assert (await client.ask("GET", path, authorization=bearer)).header("cache-control") == "no-store"
                assert (await client.ask("GET", path)).header("cache-control") == "no-store"


@both_lanes
async def test_hsts_is_said_when_configured(patient_clock, cold):
    """On every answer, for as long as the operator says."""
    async with serving(api={"manners": Manners(HttpManners(hsts_s=86_400))}) as world, lane(world, cold) as client:
        for path in ("/health", "/", "/api/v1/nope"):
            assert (await client.ask("GET", path)).header("strict-transport-security") == "max-age=86400"


async def test_streams_and_handshakes_carry_them_too(patient_clock):
    """What machines write themselves has the request's id, the safety headers and CORS."""
    async with serving(api=with_cors(OURS)) as world:
        token = await world.token()
        stream = f"GET {ROOM}/events HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n"
        handshake = (
            "GET /connection/websocket HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        for request in (stream, handshake):
            async with world.client() as client:
                await client.send(f"{request}x-request-id: r1\r\n\r\n".encode())
                said = (await client.until(b"\r\n\r\n")).lower()
                assert b"\r\nx-request-id: r1\r\n" in said
                assert b"\r\nx-content-type-options: nosniff\r\n" in said
        async with world.client() as client:
            fields = f"authorization: Bearer {token}\r\norigin: {OURS}\r\n"
            await client.send(f"GET {ROOM}/events HTTP/1.1\r\nhost: h\r\n{fields}\r\n".encode())
            assert f"\r\naccess-control-allow-origin: {OURS}\r\n".encode() in await client.until(b"\r\n\r\n")


# -- CORS


@both_lanes
async def test_a_preflight_from_an_admitted_origin_passes(patient_clock, cold):
    """Methods of the path, our own headers and those of generated SDKs; others are left out, and the browser refuses them."""
    asked = "Authorization, content-type,idempotency-key, X-Stainless-Lang, x-stainless-retry-count, if-match, x-evil, cookie"
    async with serving(api=with_cors(OURS)) as world, lane(world, cold) as client:
        answer = await client.ask("OPTIONS", ROOM, origin=OURS, **ASK, access_control_request_headers=asked)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("access-control-allow-origin") == OURS
        assert answer.header("access-control-allow-methods") == "GET, HEAD, PATCH"
        granted = "authorization, content-type, idempotency-key, x-stainless-lang, x-stainless-retry-count, if-match"
        assert answer.header("access-control-allow-headers") == granted
        assert answer.header("access-control-max-age") == "600"
        assert answer.header("access-control-allow-credentials") is None
        assert answer.header("vary") == "Origin"


@both_lanes
async def test_other_origins_are_refused(patient_clock, cold):
    """Their preflight is a 403, and their answers give a browser no leave to show them to the page."""
    async with serving(api=with_cors(OURS)) as world, lane(world, cold) as client:
        for origin in (OTHER, "null", OURS + ":8443", OURS.upper(), "https://app.example.org.evil.example"):
            refused = await client.ask("OPTIONS", ROOM, origin=origin, **ASK)
            assert (refused.status, refused.json["code"]) == (403, "forbidden")
            read = await client.ask("GET", "/health", origin=origin)
            for answer in (refused, read):
                assert answer.header("access-control-allow-origin") is None
                assert answer.header("vary") == "Origin"


@both_lanes
async def test_cors_is_off_by_default(patient_clock, cold):
    """A preflight is a method that the path does not have."""
    async with serving() as world, lane(world, cold) as client:
        answer = await client.ask("OPTIONS", ROOM, origin=OURS, **ASK)
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, PATCH")
        assert answer.header("vary") is None


@both_lanes
async def test_an_admitted_page_may_read_answers_and_refusals(patient_clock, cold):
    """The origin is named, never mirrored for others, and headers that an SDK needs are exposed; on errors as well."""
    async with serving(api=with_cors(OURS, cors_credentials=True)) as world, lane(world, cold) as client:
        for path in ("/health", "/api/v1/auth/me", "/api/v1/nope"):
            answer = await client.ask("GET", path, origin=OURS)
            assert answer.header("access-control-allow-origin") == OURS
            assert answer.header("access-control-allow-credentials") == "true"
            assert answer.header("access-control-expose-headers") == ", ".join(EXPOSED_HEADERS)
            assert answer.header("vary") == "Origin"
        nobody = await client.ask("GET", "/health")
        assert (nobody.header("vary"), nobody.header("access-control-allow-origin")) == ("Origin", None)


@both_lanes
async def test_credentials_are_for_named_origins_only(patient_clock, cold):
    """`*` lets every page call with a token of its own, and none with the visitor's cookie."""
    async with serving(api=with_cors("*", OURS, cors_credentials=True)) as world, lane(world, cold) as client:
        anybody = await client.ask("GET", "/health", origin=OTHER)
        assert anybody.header("access-control-allow-origin") == "*"
        assert anybody.header("access-control-allow-credentials") is None
        known = await client.ask("GET", "/health", origin=OURS)
        assert known.header("access-control-allow-origin") == OURS
        assert known.header("access-control-allow-credentials") == "true"
        assert (await client.ask("OPTIONS", ROOM, origin=OTHER, **ASK)).status == 204


async def test_a_plain_options_is_no_preflight(patient_clock):
    """Without Origin, or without the method that is asked for, it is answered as ever."""
    async with serving(api=with_cors(OURS)) as world, world.client() as client:
        assert (await client.ask("OPTIONS", ROOM, **ASK)).status == 405
        assert (await client.ask("OPTIONS", ROOM, origin=OURS)).status == 405
        assert (await client.ask("OPTIONS", "/api/v1/nope", origin=OURS, **ASK)).status == 404


async def test_settings_change_while_connections_are_open(patient_clock):
    """The next answer of a kept connection goes by the new ones."""
    manners = Manners()
    async with serving(api={"manners": manners}) as world, world.client() as client:
        assert (await client.ask("GET", "/health", origin=OURS)).header("access-control-allow-origin") is None
        manners.replace(HttpManners(cors_origins=(OURS,)))
        assert (await client.ask("GET", "/health", origin=OURS)).header("access-control-allow-origin") == OURS


def test_many_asked_headers_are_not_all_looked_at() -> None:
    """A preflight that names thousands costs what one with 64 costs."""
    names = ", ".join(f"x-stainless-{n}" for n in range(1_000))
    manners = Manners(HttpManners(cors_origins=(OURS,)))
    asked = head(f"Origin: {OURS}", "Access-Control-Request-Method: GET", f"Access-Control-Request-Headers: {names}")
    answer = manners.preflight(asked, ["GET"])
    assert isinstance(answer, Response)
    assert dict(answer.headers)["access-control-allow-headers"].count(",") == 63


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.org",
        "https://app.example.org/",
        "https://App.example.org",
        "https://app.example.org:443",
        "http://localhost:80",
        "null",
        "",
        "https://*.example.org",
        "https://a b",
        "https://a\r\nx: y",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_in_the_settings(origin: str) -> None:
    """It would never match, and the operator would look for the reason elsewhere."""
    with pytest.raises(ValueError, match="cors_origins"):
        HttpManners(cors_origins=(origin,))


@pytest.mark.parametrize("origin", ["*", OURS, "http://localhost:3000", "http://[::1]:8000", "capacitor://localhost"])
def test_origins_that_browsers_send_are_taken(origin: str) -> None:
    """Hosts, ports, addresses, and the schemes of app shells."""
    assert HttpManners(cors_origins=[origin]).cors_origins == (origin,)


def test_the_number_of_origins_is_bounded() -> None:
    """A hundred."""
    with pytest.raises(ValueError, match="at most 100"):
        HttpManners(cors_origins=[f"https://h{n}" for n in range(101)])
