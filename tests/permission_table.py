"""Who may do what, written by hand: what the permission walk compares a running server with.

A block is a table. Its first line names people, every other line names calls and says what each of these people gets: `ok` (a
2xx answer, a reply without an error), or a status. The Centrifugal protocol's codes are shown as the statuses that they stand
for, and a connection that is refused or closed for want of a credential as 401.

Whoever adds a route, an RPC method or a command adds it to a line of `CALLS` or to `SERVER`; the walk fails until then.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

PEOPLE: Final = """
nobody      shows no credential
bad         shows a token that nobody issued
guest       has no account, and is not in the conversation
stranger    has an account, and is not in the conversation
viewer      is one in the conversation
member      is one in the conversation; in a direct conversation one of the two
moderator   is one in the conversation
owner       is one in the conversation
banned      is banned in the conversation
muted       is a member of the conversation who may not speak for a while
admin       runs the server, and is not in the conversation
admin-key   a key of an admin, without the scope `admin`
read-key    a key of an owner of the conversation (of the other one, in a direct one), with the scope `read` alone
granted     is not in the conversation, but has a token that opens it for reading
operator    shows the operator's token
blocked     is one of the two in a direct conversation, whom the other one has blocked
blocker     is one of the two in a direct conversation, who has blocked the other one
"""

# -- in a conversation --------------------------------------------------------------------------------------------------

PUBLIC: Final = """
           nobody bad guest stranger viewer member moderator owner banned muted admin admin-key read-key granted operator
read          401 401    ok       ok     ok     ok        ok    ok    403    ok    ok        ok       ok      ok      401
speak         401 401    ok       ok    403     ok        ok    ok    403   403    ok        ok      403      ok      401
join          401 401    ok       ok     ok     ok        ok    ok    403    ok    ok        ok      403      ok      401
leave         401 401   403      403     ok     ok        ok    ok    403    ok   404       403      403     403      401
hide          401 401   403      403    409    409       409   409    403   409   409       403      403     403      401
bring-in      401 401   403      403    403    403        ok    ok    403   403    ok       403      403     403      401
moderate      401 401   403      403    403    403        ok    ok    403   403    ok       403      403     403      401
change        401 401   403      403    403    403       403    ok    403   403    ok       403      403     403      401
look          401 401    ok       ok    409    409       409   409    403   409    ok        ok      409      ok      401
accept        401 401    ok       ok    409    409       409   409    403   409    ok        ok      403      ok      401
"""

PRIVATE: Final = """
           nobody bad guest stranger viewer member moderator owner banned muted admin admin-key read-key granted operator
read          401 401   404      404     ok     ok        ok    ok    404    ok    ok       404       ok      ok      401
speak         401 401   404      404    403     ok        ok    ok    404   403    ok       404      403     403      401
join          401 401   404      404     ok     ok        ok    ok    404    ok    ok       404      403     403      401
leave         401 401   404      404     ok     ok        ok    ok    404    ok   404       404      403     403      401
hide          401 401   404      404    409    409       409   409    404   409   409       404      403     403      401
bring-in      401 401   404      404    403    403        ok    ok    404   403    ok       404      403     403      401
moderate      401 401   404      404    403    403        ok    ok    404   403    ok       404      403     403      401
change        401 401   404      404    403    403       403    ok    404   403    ok       404      403     403      401
look          401 401    ok       ok    409    409       409   409    403   409    ok        ok      409      ok      401
accept        401 401    ok       ok    409    409       409   409    403   409    ok        ok      403      ok      401
"""

DIRECT: Final = """
           nobody bad guest stranger viewer member moderator owner banned muted admin admin-key read-key granted operator
read          401 401   404      404    404     ok       404   404    404   404   404       404       ok      ok      401
speak         401 401   404      404    404     ok       404   404    404   404   404       404      403     403      401
join          401 401   404      404    404    409       404   404    404   404   404       404      403     403      401
leave         401 401   404      404    404    409       404   404    404   404   404       404      403     403      401
hide          401 401   404      404    404     ok       404   404    404   404   404       404      403     403      401
bring-in      401 401   404      404    404    403       404   404    404   404   404       404      403     403      401
moderate      401 401   404      404    404    403       404   404    404   404   404       404      403     403      401
change        401 401   404      404    404    403       404   404    404   404   404       404      403     403      401
"""

BLOCKED: Final = """
           nobody bad stranger admin blocked blocker
read          401 401      404   404      ok      ok
speak         401 401      404   404     403     403
join          401 401      404   404     409     409
leave         401 401      404   404     409     409
hide          401 401      404   404      ok      ok
bring-in      401 401      404   404     403     403
moderate      401 401      404   404     403     403
change        401 401      404   404     403     403
"""

ANNOUNCEMENT: Final = """
           nobody bad guest stranger viewer member moderator owner banned muted admin admin-key read-key granted operator
read          401 401    ok       ok     ok     ok        ok    ok    403    ok    ok        ok       ok      ok      401
speak         401 401   403      403    403    403        ok    ok    403   403    ok       403      403     403      401
join          401 401    ok       ok     ok     ok        ok    ok    403    ok    ok        ok      403      ok      401
leave         401 401   403      403     ok     ok        ok    ok    403    ok   404       403      403     403      401
hide          401 401   403      403    409    409       409   409    403   409   409       403      403     403      401
bring-in      401 401   403      403    403    403        ok    ok    403   403    ok       403      403     403      401
moderate      401 401   403      403    403    403        ok    ok    403   403    ok       403      403     403      401
change        401 401   403      403    403    403       403    ok    403   403    ok       403      403     403      401
look          401 401    ok       ok    409    409       409   409    403   409    ok        ok      409      ok      401
accept        401 401    ok       ok    409    409       409   409    403   409    ok        ok      403      ok      401
"""

C: Final = "/api/v1/conversations/{id}"
POST: Final = {"text": "hi"}

CALLS: Final[dict[str, dict[str, Any]]] = {
    "read": {
        f"GET {C}": None,
        f"GET {C}/messages": None,
        f"GET {C}/presence": None,
        f"GET {C}/members": None,
        f"GET {C}/members/{{user}}": None,
        f"GET {C}/events": None,
        "command subscribe": {},
        "command history": {"limit": 1},
        "command presence": {},
        "command presence_stats": {},
        "rpc history": {},
        "rpc conversation": {},
        "rpc members": {},
    },
    "speak": {
        f"POST {C}/messages": POST,
        f"POST {C}/typing": {},
        "command publish": {"data": POST},
        "rpc post": POST,
        "rpc typing": {},
    },
    "join": {f"POST {C}/join": {}, "rpc join": {}},
    "leave": {f"POST {C}/leave": {}, f"DELETE {C}/members/{{self}}": None, "rpc leave": {}},
    "hide": {f"POST {C}/hide": {}, "rpc hide": {}},
    "bring-in": {
        f"PUT {C}/members/{{user}}": {"role": "member"},
        f"POST {C}/invites": {},
        f"GET {C}/invites": None,
        f"DELETE {C}/invites/{{invite}}": None,
        "rpc member_put": {"user": "{user}", "role": "member"},
    },
    "moderate": {
        f"DELETE {C}/members/{{user}}": None,
        f"PUT {C}/members/{{user}}/mute": {"seconds": 60},
        f"DELETE {C}/members/{{user}}/mute": None,
        f"GET {C}/bans": None,
        f"PUT {C}/bans/{{user}}": {},
        f"DELETE {C}/bans/outlaw": None,
        "rpc member_remove": {"user": "{user}"},
        "rpc mute": {"user": "{user}", "seconds": 60},
        "rpc bans": {},
        "rpc ban": {"user": "{user}"},
        "rpc unban": {"user": "outlaw"},
    },
    "change": {f"PATCH {C}": {"title": "New"}},
    "look": {"GET /api/v1/invites/{token}": None},
    "accept": {"POST /api/v1/invites/{token}/accept": {}},
}
"""What a line of the five tables stands for, with the body, or the data, that is sent. `{user}` is a viewer there, or the other
one of the two; `outlaw` is banned; `{token}` is an invite into the conversation, and `{invite}` its id."""

# -- elsewhere ----------------------------------------------------------------------------------------------------------

SERVER: Final = """
                                       nobody bad guest stranger admin admin-key read-key operator
GET /health                                ok  ok    ok       ok    ok        ok       ok       ok
GET /health/ready                          ok  ok    ok       ok    ok        ok       ok       ok
GET /api/v1/version                        ok  ok    ok       ok    ok        ok       ok       ok
GET /openapi.json                          ok  ok    ok       ok    ok        ok       ok       ok
GET /.well-known/security.txt              ok  ok    ok       ok    ok        ok       ok       ok
POST /api/v1/setup                        403 403   403      403   403       403      403      403
POST /api/v1/auth/signup                  403 403   403      403   403       403      403      403
POST /api/v1/auth/login                   401 401   401      401   401       401      401      401
GET /api/v1/auth/session                   ok  ok    ok       ok    ok        ok       ok       ok
POST /api/v1/auth/upgrade                 401 401   403      403   403       403      403      401
POST /api/v1/auth/refresh                 401 401   403      403   403       403      403      401
POST /api/v1/auth/logout                  401 401   403      403   403       403      403      401
POST /api/v1/auth/guest                    ok  ok    ok       ok    ok        ok       ok       ok
GET /api/v1/auth/me                       401 401    ok       ok    ok        ok       ok      401
PATCH /api/v1/auth/me                     401 401   403      403   403       403      403      401
DELETE /api/v1/auth/me                    401 401   403      403   403       403      403      401
GET /api/v1/auth/sessions                 401 401    ok       ok    ok        ok      403      401
DELETE /api/v1/auth/sessions              401 401    ok       ok    ok        ok      403      401
DELETE /api/v1/auth/sessions/{id}         401 401   404      404   404       404      403      401
GET /api/v1/auth/keys                     401 401   403       ok    ok        ok      403      401
POST /api/v1/auth/keys                    401 401   403      403   403       403      403      401
GET /api/v1/auth/keys/{id}                401 401   403      404   404       404      403      401
DELETE /api/v1/auth/keys/{id}             401 401   403      404   404       404      403      401
POST /api/v1/auth/keys/{id}/rotate        401 401   403      403   403       403      403      401
GET /api/v1/auth/oidc                      ok  ok    ok       ok    ok        ok       ok       ok
GET /api/v1/auth/oidc/{provider}/login    404 404   404      404   404       404      404      404
GET /api/v1/auth/oidc/{provider}/callback 403 403   403      403   403       403      403      403
GET /api/v1/auth/identities               401 401   403       ok    ok        ok      403      401
DELETE /api/v1/auth/identities/{id}       401 401   403      404   404       404      403      401
GET /api/v1/users/{username}              401 401   403      404   404       404      404      401
GET /api/v1/conversations                 401 401    ok       ok    ok        ok       ok      401
POST /api/v1/conversations                401 401    ok       ok    ok        ok      403      401
GET /api/v1/blocks                        401 401    ok       ok    ok        ok      403      401
PUT /api/v1/blocks/{user}                 401 401    ok       ok    ok        ok      403      401
DELETE /api/v1/blocks/{user}              401 401    ok       ok    ok        ok      403      401
rpc blocks                                401 401    ok       ok    ok        ok      403      401
rpc block                                 401 401    ok       ok    ok        ok      403      401
rpc unblock                               401 401    ok       ok    ok        ok      403      401
GET /metrics                              401 401   403      403    ok       403      403       ok
GET /api/v1/admin/tree                    401 401   403      403    ok       403      403       ok
GET /api/v1/admin/rooms                   401 401   403      403    ok       403      403       ok
GET /api/v1/admin/quarantined             401 401   403      403    ok       403      403       ok
DELETE /api/v1/admin/quarantined/{ill}    401 401   403      403    ok       403      403       ok
GET /api/v1/admin/config                  401 401   403      403    ok       403      403       ok
PUT /api/v1/admin/config                  401 401   403      403    ok       403      403       ok
GET /api/v1/admin/audit                   401 401   403      403    ok       403      403       ok
GET /api/v1/admin/figures                 401 401   403      403    ok       403      403       ok
GET /api/v1/admin/limits                  401 401   403      403    ok       403      403       ok
PUT /api/v1/admin/limits/{name}           401 401   403      403    ok       403      403       ok
DELETE /api/v1/admin/limits/{name}        401 401   403      403    ok       403      403       ok
GET /api/v1/admin/users                   401 401   403      403    ok       403      403       ok
POST /api/v1/admin/users                  401 401   403      403    ok       403      403       ok
GET /api/v1/admin/users/{id}              401 401   403      403   404       403      403      404
PATCH /api/v1/admin/users/{id}            401 401   403      403   404       403      403      404
DELETE /api/v1/admin/users/{id}           401 401   403      403   404       403      403      404
DELETE /api/v1/admin/users/{id}/sessions   401 401   403      403   404       403      403      404
GET /api/v1/admin/invitations             401 401   403      403    ok       403      403       ok
POST /api/v1/admin/invitations            401 401   403      403    ok       403      403       ok
DELETE /api/v1/admin/invitations/{id}     401 401   403      403   404       403      403      404
GET /connection/websocket                  ok 401    ok       ok    ok        ok       ok      401
GET /connection/sse                       401 401    ok       ok    ok        ok       ok      401
POST /connection/http_stream              401 401    ok       ok    ok        ok       ok      401
POST /emulation                           401 401   403       ok   403       403      403      401
command connect                           401 401    ok       ok    ok        ok       ok      401
command ping                              401 401    ok       ok    ok        ok       ok      401
command unsubscribe                       401 401    ok       ok    ok        ok       ok      401
"""

BODIES: Final[dict[str, Any]] = {
    "POST /api/v1/setup": {"token": "not printed", "username": "root", "password": "correct horse"},
    "POST /api/v1/auth/signup": {"username": "gus", "password": "correct horse"},
    "POST /api/v1/auth/login": {"username": "gus", "password": "correct horse"},
    "POST /api/v1/auth/upgrade": {"username": "gus", "password": "correct horse"},
    "PATCH /api/v1/auth/me": {"name": "Gus"},
    "DELETE /api/v1/auth/me": {"password": "correct horse"},
    "POST /api/v1/auth/keys": {},
    "POST /api/v1/admin/users": {"username": "made.by.{who}", "password": "correct horse"},
    "PATCH /api/v1/admin/users/{id}": {"disabled": True},
    "POST /api/v1/auth/guest": {"name": "Gus"},
    "POST /api/v1/conversations": {"kind": "direct", "with": "somebody"},
    "rpc blocks": {},
    "rpc block": {"user": "{user}"},
    "rpc unblock": {"user": "{user}"},
    "PUT /api/v1/admin/config": {},
    "PUT /api/v1/admin/limits/{name}": {"rate": 1000, "period_s": 1, "burst": 2000},
    "POST /emulation": {"session": "{session}", "data": "{}"},
}
"""What is sent with a call of `SERVER`; nothing with the others. `{session}` is a stream over HTTP that the stranger opened.

People of the walk are the embedding program's own: they have no session here, no key, and no account that could be changed; what
those get is in tests/integration/test_identity.py. There is no provider to log in with either (tests/transport/
test_oidc_calls.py)."""

ELSEWHERE: Final = {
    "command refresh": "for signed tokens alone: tests/transport/test_centrifugal_tokens.py",
    "command sub_refresh": "for signed tokens alone: tests/transport/test_centrifugal_tokens.py",
    "command rpc": "its methods have lines of their own",
}
"""Calls that the walk leaves to other tests, and why."""


@attrs.frozen
class Cell:
    """What somebody gets who makes a call.

    Attributes:
        kind: of the conversation; "server" where there is none.
        row: the line of the table.
        call: ``METHOD path``, ``command NAME`` or ``rpc NAME``.
        who: of `PEOPLE`.
        expected: ``ok`` or a status.
    """

    kind: str
    row: str
    call: str
    body: Any
    who: str
    expected: str


def read_block(block: str) -> dict[str, dict[str, str]]:
    """A block as its lines: for each, what everybody gets."""
    head, *lines = block.strip("\n").splitlines()
    people = head.split()
    assert set(people) <= {who for who, *_ in map(str.split, PEOPLE.strip().splitlines())}
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        words = line.split()
        name, cells = " ".join(words[: -len(people)]), words[-len(people) :]
        assert name, line
        assert name not in found, name
        assert len(words) > len(people), line
        found[name] = dict(zip(people, cells, strict=True))
    return found


def cells() -> list[Cell]:
    """All cells of all tables."""
    found: list[Cell] = []
    blocks = {"public": PUBLIC, "private": PRIVATE, "direct": DIRECT, "blocked": BLOCKED, "announcement": ANNOUNCEMENT}
    for kind, block in blocks.items():
        for row, people in read_block(block).items():
            for call, body in CALLS[row].items():
                found += [Cell(kind, row, call, body, who, expected) for who, expected in people.items()]
    for call, people in read_block(SERVER).items():
        found += [Cell("server", call, call, BODIES.get(call), who, expected) for who, expected in people.items()]
    return found


def told() -> set[str]:
    """Every call that has a line, with the names in its path as the server's own table writes them."""
    calls = {cell.call for cell in cells()} | set(ELSEWHERE)
    names = {"{self}": "{user}", "outlaw": "{user}", "{ill}": "{id}"}
    for mine, its in names.items():
        calls = {call.replace(mine, its) for call in calls}
    return calls
