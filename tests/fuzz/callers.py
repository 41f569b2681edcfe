"""Who calls, and what is theirs: a house full of people on one server.

What they have is made anew for every call of the API, so that what one call does to a conversation is no other's matter. Somebody
whose session is over, by a logout or because the account was deleted, comes anew for the next case.

Left out: what each of them may do (`judge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any, Final

import attrs
import requests

from hubbub.config.overrides import place
from hubbub.operator_token import load

from ..serverproc import ServerProcess

CALLERS: Final = ("nobody", "guest", "member", "cookie", "read-key", "admin", "operator")
"""Nobody; a guest; somebody with an account, by bearer and, as a browser, by cookie; a key with the scope `read` alone; an
administrator with an account; the operator's token. Those who change the configuration come last."""

_PASSWORD: Final = "correct horse battery staple"
_ROOMS: Final = "/api/v1/conversations"
_TIMEOUT_S: Final = 30

Known = Mapping[str, tuple[str, ...]]
"""By the name that a path gives them, ids of what is there."""


@attrs.frozen
class Caller:
    """Somebody who makes calls.

    Attributes:
        who: of `CALLERS`.
        headers, cookies: the credential. Names of headers are as in the document, for schemathesis to know them again.
        id: the user's; "" for who is none.
        owner: headers of the session, where the credential is a part of what that opens.
        known: what the caller may name, by its place in a path.
        rooms: for conversations that are known, their kind and what the caller is there at most: a table and a column of
            `tests.permission_table`.
    """

    who: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    id: str = ""
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    owner: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    known: Known = attrs.field(factory=dict, repr=False)
    rooms: Mapping[str, tuple[str, str]] = attrs.field(factory=dict, repr=False)


@attrs.define(eq=False)
class House:
    """A server, and who calls it.

    Attributes:
        server: the process.
        http: connections to it that stay open. They keep no cookies: who shows one says so.
    """

    server: ServerProcess
    http: requests.Session = attrs.field(init=False)
    _operator: Mapping[str, str] = attrs.field(init=False)
    _host: Mapping[str, str] = attrs.field(init=False)
    _mate: str = attrs.field(init=False)
    _outlaw: str = attrs.field(init=False)
    _direct: str = attrs.field(init=False)
    _numbers: count[int] = attrs.field(factory=lambda: count(1))
    _people: dict[tuple[str, str], Caller] = attrs.field(factory=dict)
    _doubted: set[str] = attrs.field(factory=set)
    _callers: dict[tuple[str, str], Caller] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.http = requests.Session()
        self.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._operator = _bearer(load(self.server.data_dir))
        self._host = _bearer(self._account("member")["token"])
        self._mate, self._outlaw = (self._account("member")["user"]["id"] for _ in range(2))
        direct = self.ask("POST", _ROOMS, {"kind": "direct", "with": self._mate}, self._host)
        self._direct = direct["id"]

    def caller(self, who: str, call: str, path: str) -> Caller:
        """Who makes one kind of call.

        Args:
            who: of `CALLERS`.
            call: which, as a key.
            path: its path, with names in braces; what is not named there is not made.
        """
        # Keys are few of one user: who makes them, and who changes them, are not the same.
        place = (who, path if "/auth/keys" in path else "")
        person = self._people.get(place)
        if person is None or (who in self._doubted and not self._is_good(person)):
            person = self._people[place] = self._come(who)
        self._doubted.discard(who)
        found = self._callers.get((who, call))
        if found is None or found.id != person.id:
            found = self._callers[who, call] = self._equipped(person, path)
        return found

    def heard(self, who: str, method: str, status: int) -> None:
        """Doubt whether somebody is still who it was: after an answer that may have ended its session."""
        if status == 401 or (status < 400 and method != "GET"):
            self._doubted.add(who)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """A call that goes well."""
        answer = self.http.request(
            method, self.server.url + path, json=body, headers=dict(headers or {}), timeout=_TIMEOUT_S
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json()) if answer.content else {}

    def settle(self) -> None:
        """Give all settings back that an administrator has changed."""
        origins = self.ask("GET", "/api/v1/admin/config", headers=self._operator)["origins"]
        mine = str(place(self.server.data_dir))
        changed = {key: None for key, origin in origins.items() if origin == mine}
        self.ask("PUT", "/api/v1/admin/config", _nested(changed), self._operator)

    def _is_good(self, caller: Caller) -> bool:
        """Whether its session still stands, and for as much as at first."""
        if not caller.id:
            return True
        answer = self.http.get(self.server.url + "/api/v1/auth/me", headers=dict(caller.headers), timeout=_TIMEOUT_S)
        return answer.ok

    def _come(self, who: str) -> Caller:
        if who == "nobody":
            return Caller(who, {})
        if who == "operator":
            return Caller(who, self._operator)
        made = self.guest() if who == "guest" else self._account("admin" if who == "admin" else "member")
        bearer = _bearer(made["token"])
        caller = Caller(who, bearer, made["user"]["id"], owner=bearer)
        if who == "read-key":
            return attrs.evolve(caller, headers=self._key(bearer))
        if who == "cookie":
            shown = {"X-CSRF-Token": made["csrf_token"], "Origin": self.server.url}
            return attrs.evolve(caller, headers=shown, cookies={"hubbub_session": made["token"]})
        return caller

    def _equipped(self, person: Caller, path: str) -> Caller:
        """Somebody with what a path names."""
        if person.who in ("admin", "operator") and (known := self._admins_things(path)):
            return attrs.evolve(person, known=known)
        if not person.id:
            return attrs.evolve(
                person, known={"id": ("lobby", self._direct)}, rooms={self._direct: ("direct", person.who)}
            )
        if path.startswith("/api/v1/conversations/{id}"):
            return self._with_rooms(person)
        return attrs.evolve(person, known=self._own_things(path, person))

    # -- how people come ---------------------------------------------------------------------------------------------------

    def guest(self) -> dict[str, Any]:
        """A session of a new guest."""
        return self.ask("POST", "/api/v1/auth/guest", {"name": "Fuzz"})

    def _account(self, role: str) -> dict[str, Any]:
        """A session of a new account."""
        name = {"username": f"user{next(self._numbers)}", "password": _PASSWORD}
        self.ask("POST", "/api/v1/admin/users", {**name, "role": role}, self._operator)
        return self.ask("POST", "/api/v1/auth/login", name)

    def _key(self, owner: Mapping[str, str]) -> Mapping[str, str]:
        return _bearer(self.ask("POST", "/api/v1/auth/keys", {"scopes": ["read"]}, owner)["key"])

    # -- what they have ----------------------------------------------------------------------------------------------------

    def _with_rooms(self, caller: Caller) -> Caller:
        """Conversations: one's own, and those of somebody else, open, closed, forbidden, and between two others."""
        owner = caller.owner
        own = self.ask("POST", _ROOMS, {"visibility": "private"}, owner)["id"]
        message = self.ask("POST", f"{_ROOMS}/{own}/messages", {"text": "hello"}, owner)["id"]
        invite = self.ask("POST", f"{_ROOMS}/{own}/invites", {}, owner)["id"]
        self.ask("PUT", f"{_ROOMS}/{own}/members/{self._mate}", {"role": "member"}, owner)
        self.ask("PUT", f"{_ROOMS}/{own}/bans/{self._outlaw}", {}, owner)
        closed = self.ask("POST", _ROOMS, {"visibility": "private"}, self._host)["id"]
        outlaws = self.ask("POST", _ROOMS, {"visibility": "public"}, self._host)["id"]
        self.ask("PUT", f"{_ROOMS}/{outlaws}/bans/{caller.id}", {}, self._host)
        lobby = () if caller.who == "admin" else ("lobby",)  # it could close it for all others
        known = {
            "id": (own, own, *lobby, closed, outlaws, self._direct),
            "message": (message,),
            "invite": (invite,),
            "user": (self._mate, self._outlaw, caller.id),
        }
        is_key = caller.who == "read-key"
        stranger = "guest" if caller.who == "guest" else "stranger"
        rooms = {
            own: ("private", "read-key" if is_key else "owner"),
            "lobby": ("public", "read-key" if is_key else "member"),  # it may join
            closed: ("private", stranger),
            outlaws: ("public", "banned"),
            self._direct: ("direct", stranger),
        }
        if caller.who == "admin":
            rooms = {self._direct: ("direct", "admin")}
        return attrs.evolve(caller, known=known, rooms=rooms)

    def _own_things(self, path: str, caller: Caller) -> Known:
        """What a path names that is no conversation."""
        owner = caller.owner
        if "/auth/keys/" in path and caller.who != "guest":  # who may have none
            return {"id": (self.ask("POST", "/api/v1/auth/keys", {}, owner)["id"],)}
        if "/auth/sessions/" in path:
            return {"id": tuple(each["id"] for each in self._listed("sessions", owner))}
        if "/invites/{token}" in path:
            room = self.ask("POST", _ROOMS, {"visibility": "private"}, self._host)["id"]
            return {"token": (self.ask("POST", f"{_ROOMS}/{room}/invites", {}, self._host)["token"],)}
        return {"id": ("lobby",)}

    def _listed(self, what: str, owner: Mapping[str, str]) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/api/v1/auth/{what}", headers=owner)[what])

    def _admins_things(self, path: str) -> Known:
        """What the path of an administrator's call names; nothing for other calls."""
        if "/admin/users/" in path:
            return {"id": (self._account("member")["user"]["id"],)}
        if "/admin/invitations/" in path:
            return {"id": (self.ask("POST", "/api/v1/admin/invitations", {}, self._operator)["id"],)}
        return {"name": ("post", "read")} if "/admin/limits/" in path else {}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _nested(flat: Mapping[str, None]) -> dict[str, Any]:
    """Keys with points as a merge patch."""
    patch: dict[str, Any] = {}
    for key in flat:
        *above, last = key.split(".")
        inner = patch
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = None
    return patch
