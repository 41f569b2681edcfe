"""The version of a conversation: a name for all that an update can change, so that a change can be made conditional on it.

It follows from the values alone: it is the same after a restart, on every server, and again when everything is changed back.
Posts do not touch it; members have changes of their own.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

import attrs

from .codec import encode_json
from .messages import ConversationChange, Record

_FIELDS: Final = tuple(field.name for field in attrs.fields(ConversationChange))


def version_of(record: Record) -> str:
    """The version of a record: 32 hexadecimal digits."""
    return _digest(record.epoch, *(getattr(record, name) for name in _FIELDS))


@lru_cache(maxsize=1024)
def _digest(*values: object) -> str:
    return blake2b(encode_json(values), digest_size=16).hexdigest()
