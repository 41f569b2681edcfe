"""The pages: a Quart-Trio application with the chat page, that of the setup link, the admins' page, the description of the
API at /docs, and their files.

The files are read from the installed package once, so that a path names an entry of a table and never a place on disk.
Every file has an ETag and is asked for again each time (a new version of hubbub must not meet yesterday's modules).
Every answer carries a policy under which nothing but our own files and our own server can be reached; the lane adds what all
answers carry (`manners`).

Left out: endpoints (`cold_calls`), compression, the page itself (`static/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, NotFound

from .answers import problem
from .http_message import Response as Plain
from .http_message import named
from .identity.setup import PAGE as SETUP_PAGE
from .request_id import REQUEST_ID
from .router import nowhere

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@attrs.frozen
class _File:
    body: bytes
    content_type: str
    etag: str


def build_pages(has_docs: Callable[[], bool]) -> QuartTrio:
    """Make the application; reads the files.

    Args:
        has_docs: whether the description of the API is shown now.

    Raises:
        RuntimeError: the package is incomplete.
    """
    found = _load()
    app = QuartTrio(__name__, static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = True  # the lane answers for bugs and logs them without what was asked
    app.url_map.merge_slashes = False

    async def index() -> Response:
        return _answer(found["index.html"])

    async def setup() -> Response:
        return _answer(found["setup.html"])

    async def admin() -> Response:
        return _answer(found["admin.html"])

    async def docs() -> Response:
        if not has_docs():
            raise NotFound
        return _answer(found["docs/index.html"])

    async def icon() -> Response:
        return _answer(found["favicon.svg"], max_age_s=86_400)

    async def static(name: str) -> Response:
        try:
            return _answer(found[name])
        except KeyError:
            raise NotFound from None

    views: dict[str, Callable[..., Awaitable[Response]]] = {
        "/": index,
        "/invite": index,
        SETUP_PAGE: setup,
        "/admin": admin,
        "/docs": docs,
        "/favicon.ico": icon,
        "/favicon.svg": icon,
        "/static/<path:name>": static,
    }
    for path, view in views.items():
        app.add_url_rule(path, view_func=view, endpoint=path, methods=["GET"], provide_automatic_options=False)
    app.register_error_handler(HTTPException, _refuse)
    app.after_request(_protect)
    return app


def _load() -> dict[str, _File]:
    root = files(__package__).joinpath("static")
    found = _files_in(root, "") | _files_in(root.joinpath("docs"), "docs/")
    if not {"index.html", "setup.html", "admin.html", "favicon.svg", "docs/index.html"} <= found.keys():
        raise RuntimeError("this installation of hubbub lacks the files of its pages")
    return found


def _files_in(folder: Traversable, prefix: str) -> dict[str, _File]:
    found = {}
    for entry in folder.iterdir():
        content_type = _TYPES.get(entry.name.rpartition(".")[2])
        if content_type is not None and entry.is_file():
            body = entry.read_bytes()
            found[prefix + entry.name] = _File(body, content_type, hashlib.sha256(body).hexdigest()[:32])
    return found


def _answer(file: _File, max_age_s: int = 0) -> Response:
    unchanged = request.if_none_match.contains_weak(file.etag)
    response = Response(b"", 304) if unchanged else Response(file.body, 200, content_type=file.content_type)
    if unchanged:
        del response.headers["content-type"]
    response.headers["cache-control"] = f"public, max-age={max_age_s}" if max_age_s else "no-cache"
    response.set_etag(file.etag)
    return response


async def _refuse(error: HTTPException) -> Response:
    """The problem document that the other lane gives to a path or method that is not there."""
    if error.code == 404:
        plain = nowhere(frozenset())
    elif error.code == 405:
        plain = nowhere(frozenset(getattr(error, "valid_methods", None) or ()))
    else:
        plain = problem(error.code or 500, error.name.lower().replace(" ", "_"), "the request cannot be served")
    return _from_plain(plain)


def _from_plain(plain: Plain) -> Response:
    told = named(plain, REQUEST_ID.get(""))
    return Response(told.body, told.status, dict(told.headers))


async def _protect(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response
