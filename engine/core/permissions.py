"""Who may do what in a conversation: one function, asked by the conversation itself, whatever the transport.

Until accounts and memberships exist the rule is small: a public conversation may be read and posted to by every principal; a
private one only by its owner, and to everybody else it does not exist; only the owner changes a conversation.
"""

from enum import StrEnum

from .errors import Conflict, Forbidden, NotFound
from .messages import Principal, Record, Visibility


class Verb(StrEnum):
    """What can be done in a conversation."""

    READ = "read"
    POST = "post"
    SIGNAL = "signal"
    MANAGE = "manage"


def check(principal: Principal, verb: Verb, record: Record) -> None:
    """Let it pass, or say why not.

    Raises:
        NotFound: the principal may not know of the conversation.
        Forbidden: it may know, but not do this.
        Conflict: the conversation is archived and the verb would add to it.
    """
    owner = principal.all_powerful or principal.id == record.owner
    if record.visibility is Visibility.PRIVATE and not owner:
        raise NotFound("no such conversation")
    if verb is Verb.MANAGE and not owner:
        raise Forbidden("only the owner may change a conversation")
    if record.archived and verb in (Verb.POST, Verb.SIGNAL):
        raise Conflict("the conversation is archived")
