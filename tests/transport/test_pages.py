"""The page and its files, over real connections."""

from __future__ import annotations

import re
import subprocess
import sys

import attrs
import pytest

from hubbub.transport.manners import HttpManners

from ..logs import capture_logs
from .world import serving

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PROTECTION = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize(("place", "script"), [("/", "app"), ("/invite", "app"), ("/setup", "setup")])
async def test_page_and_all_that_it_names(patient_clock, place, script):
    """The page is HTML, and every file that it or a module names is there with a type that browsers accept."""
    async with serving() as world, world.client() as client:
        page = await client.ask("GET", place)
        assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
        wanted = set(re.findall(r'(?:href|src)="(/[^"]*)"', page.body.decode()))
        assert f"/static/{script}.js" in wanted
        seen = set()
        while wanted - seen:
            path = min(wanted - seen)
            seen.add(path)
            file = await client.ask("GET", path)
            assert file.status == 200, path
            kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "": "text/html"}
            assert str(file.header("content-type")).startswith(kinds[path.partition(".")[2]]), path
            if path.endswith(".js"):
                wanted |= {f"/static/{name}" for name in re.findall(r'from "\./([^"]+)"', file.body.decode())}
        assert len(seen) > 5


async def test_docs_and_all_that_they_name(patient_clock):
    """The description of the API has its own page, whose files are all ours; switched off, it is not there."""
    async with serving() as world, world.client() as client:
        page = await client.ask("GET", "/docs")
        assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
        wanted = set(re.findall(r'(?:href|src)="(/[^"#]+)"', page.body.decode()))
        assert {"/static/docs/docs.js", "/static/docs/docs.css", "/static/palette.css", "/openapi.json"} <= wanted
        wanted |= {"/static/docs/model.js", "/static/docs/view.js"}
        for path in sorted(wanted):
            assert (await client.ask("GET", path)).status == 200, path
        current = world.api.live.current
        world.api.live.replace(attrs.evolve(current, http=HttpManners(docs=False)))
        assert (await client.ask("GET", "/docs")).json["code"] == "not_found"
        world.api.live.replace(current)
        assert (await client.ask("GET", "/docs")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/static/style.css", 200),
        ("GET", "/nope", 404),
        ("POST", "/", 405),
    ],
)
async def test_every_answer_is_protected(patient_clock, method, path, status):
    """What the pages answer carries the policy, refusals included."""
    async with serving() as world, world.client() as client:
        answer = await client.ask(method, path)
        assert answer.status == status
        assert {name: answer.header(name) for name in PROTECTION} == PROTECTION
        assert answer.header("server") is None


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
@pytest.mark.parametrize("path", ["/", "/static/app.js", "/favicon.svg"])
async def test_unchanged_file_is_not_sent_again(patient_clock, path, form):
    """An entity tag that still holds gets 304 without a body, and the connection goes on."""
    async with serving() as world, world.client() as client:
        first = await client.ask("GET", path)
        tag = first.header("etag")
        again = await client.ask("GET", path, if_none_match=form.format(tag))
        assert (again.status, again.body, again.header("etag")) == (304, b"", tag)
        assert again.header("content-type") is None
        other = await client.ask("GET", path, if_none_match='"other"')
        assert (other.status, other.body) == (200, first.body)


async def test_files_are_asked_for_again_and_icons_kept(patient_clock):
    """Modules are revalidated, so that a new version is never mixed with an old one; icons may be kept a day."""
    async with serving() as world, world.client() as client:
        for path in ("/", "/static/app.js", "/static/style.css"):
            assert (await client.ask("GET", path)).header("cache-control") == "no-cache"
        for path in ("/favicon.ico", "/favicon.svg"):
            icon = await client.ask("GET", path)
            assert icon.header("cache-control") == "public, max-age=86400"
            assert icon.header("content-type") == "image/svg+xml"


async def test_head_has_the_length_and_no_body(patient_clock):
    """HEAD is answered like GET, without the body."""
    async with serving() as world, world.client() as client:
        get = await client.ask("GET", "/", x_request_id="r1")
        head = await client.ask("HEAD", "/", x_request_id="r1")
        assert (head.status, head.headers, head.body) == (200, get.headers, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/static",
        "/static/",
        "/static/nope.js",
        "/static/docs",
        "/static/docs/",
        "/static/docs/nope.js",
        "/docs/",
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fpages.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/./app.js",
        "/static/app.js/",
        "/index.html",
        "/pages.py",
        "*",
    ],
)
async def test_no_path_leads_out(patient_clock, path):
    """Only the files of the page are served; anything else is the same problem document as in the other lane."""
    with capture_logs() as logs:
        async with serving() as world, world.client() as client:
            answer = await client.ask("OPTIONS" if path == "*" else "GET", path)
            assert (answer.status, answer.json["code"]) == (404, "not_found")
            assert answer.header("content-type") == "application/problem+json"
    assert logs == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_named_what_is_allowed(patient_clock, method):
    """A page is only read."""
    async with serving() as world, world.client() as client:
        answer = await client.ask(method, "/")
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
        assert answer.json["code"] == "method_not_allowed"


def test_import_of_the_library_loads_no_web_framework():
    """An embedder who serves nothing does not pay for Quart and Hypercorn."""
    program = (
        "import sys, hubbub, hubbub.transport.serve\n"
        "print([name for name in ('quart', 'hypercorn', 'werkzeug', 'flask') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
