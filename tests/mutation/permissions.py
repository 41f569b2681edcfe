"""Mutants of access: one check is gone, or looks at the wrong thing, and the permission walk has to notice."""

from typing import Final

from .mutant import Edit, Mutant

_WALK: Final = ("tests/integration/test_permission_walk.py",)


def _gone(name: str, breaks: str, story: str, file: str, find: str, put: str) -> Mutant:
    return Mutant(
        name=name,
        promise="access",
        breaks=breaks,
        story=story,
        edits=(Edit(file, find, put),),
        tests=_WALK,
        is_simulated=False,
    )


PERMISSIONS: Final = (
    _gone(
        "scope-of-a-route-ignored",
        "a key that may only read makes conversations",
        "The conversation checks scopes; that some routes belong to no conversation was forgotten.",
        "engine/core/permissions.py",
        """
    if scope not in principal.scopes:
        return Forbidden(f"this credential lacks the scope {scope.value!r}")
    if access""",
        """
    if access""",
    ),
    _gone(
        "admins-are-everybody",
        "whoever has an account reads the admin's pages",
        "The route's access was renamed, and one comparison was lost.",
        "engine/core/permissions.py",
        """
    if access is _ADMIN and principal.role is not _SERVER_ADMIN:
        return Forbidden("this is for admins")
""",
        "",
    ),
    _gone(
        "scope-of-a-verb-ignored",
        "a key that may only read posts over WebSocket",
        "REST checks scopes at its door; RPC has none.",
        "engine/core/permissions.py",
        """
    if SCOPE_OF[verb] not in principal.scopes:
        raise Forbidden(f"this credential lacks the scope {SCOPE_OF[verb].value!r}")
""",
        "",
    ),
    _gone(
        "ban-counts-in-private-only",
        "who is banned reads and posts on in a public conversation",
        "A ban ends the membership, and a public conversation needs none.",
        "engine/core/permissions.py",
        """
        if member.banned:
            return _BANNED if record.visibility is _PUBLIC else _STRANGER
""",
        """
        if member.banned and record.visibility is not _PUBLIC:
            return _STRANGER
""",
    ),
    _gone(
        "private-is-public",
        "strangers read private conversations",
        "Membership was looked at, and what no membership means was left for later.",
        "engine/core/permissions.py",
        """
    if record.visibility is _PUBLIC:
        return _VISITOR
""",
        """
    if record.kind is not _DIRECT:
        return _VISITOR
""",
    ),
    _gone(
        "admins-read-direct-conversations",
        "an admin reads and posts in the direct conversations of others",
        "Admins stand as owners everywhere.",
        "engine/core/permissions.py",
        """
    if principal.role is _SERVER_ADMIN and _ADMIN_SCOPE in principal.scopes and record.kind is not _DIRECT:
""",
        """
    if principal.role is _SERVER_ADMIN and _ADMIN_SCOPE in principal.scopes:
""",
    ),
    _gone(
        "a-key-has-the-whole-role",
        "an admin's key that was made without that scope acts as an admin",
        "The role is the account's, so it was asked of the account.",
        "engine/core/permissions.py",
        """
    if principal.role is _SERVER_ADMIN and _ADMIN_SCOPE in principal.scopes and""",
        """
    if principal.role is _SERVER_ADMIN and""",
    ),
    _gone(
        "everybody-announces",
        "members speak in an announcement",
        "The kind was added to the record, and to the rules only where one joins.",
        "engine/core/permissions.py",
        """
        if verb in _SPEAKING and standing not in _OFFICE:
            raise Forbidden("only owners and moderators speak in an announcement")
""",
        """
        return
""",
    ),
    _gone(
        "mute-not-heard",
        "who is muted posts on",
        "The row is kept and shown, and nobody reads it.",
        "engine/core/permissions.py",
        """
    if member is not None and at_ms < member.muted_until_ms and not principal.all_powerful:
        raise Forbidden("you are muted here")
""",
        """
    del member
""",
    ),
    _gone(
        "questions-are-not-checked",
        "whoever knows the id reads a private conversation",
        "Posts are checked by the machine, so everything seemed to be.",
        "engine/_conversation.py",
        """
            check(command.principal, verb, machine.record)
""",
        """
            del verb
""",
    ),
    _gone(
        "the-stream-forgets-its-check",
        "an event stream shows private conversations to everybody with a token",
        "The stream was given the engine's own principal, because only the engine can follow everything.",
        "transport/sse.py",
        """
            session = self._api.session(found.principal)
""",
        """
            session = self._api.session(attrs.evolve(found.principal, all_powerful=True))
""",
    ),
    _gone(
        "blocks-are-not-asked",
        "who was blocked goes on writing to who blocked them",
        "The new conversation is refused, and the old one was forgotten.",
        "engine/core/permissions.py",
        """
    elif verb in _SPEAKING and not principal.all_powerful:
        check_contact(principal.author.id, record.blockers, _REFUSALS[verb])
""",
        "",
    ),
    _gone(
        "invites-are-listed-to-everybody",
        "strangers list a conversation's invites",
        "The list shows no tokens, so it seemed harmless.",
        "engine/_invites.py",
        """
            message_id(after)
        await self._engine.conversation(name).describe(by=by, verb=Verb.INVITE)
""",
        """
            message_id(after)
""",
    ),
    _gone(
        "the-operator-is-let-in-everywhere",
        "the operator's token reads conversations",
        "It is checked at the door of all routes, once.",
        "transport/api.py",
        """
        if route.access is Access.ADMIN and self._is_operator(request.head):
""",
        """
        if self._is_operator(request.head):
""",
    ),
)
