"""Newest pages: what everybody asks for who opens a conversation, kept while nothing is added to it. Pure.

Invariants: a page is found only for the head and the epoch that it was made at, so it is never older than the log in
memory; at most `max_pages` pages are kept, each of at most `max_bytes` of messages; the one that was asked for longest
ago gives way. A page holds its JSON once it was shown (`codec.page_json`), which is up to six times as long as its
texts where they are all escapes.

Left out: making pages, and who may read them.
"""

from collections import OrderedDict
from typing import Final

import attrs

from .ids import ConversationId
from .messages import MessagePage


@attrs.frozen
class _Kept:
    epoch: str
    head: int
    limit: int
    page: MessagePage


class NewestPages:
    """The newest page of each of the conversations that were asked last, one length for each.

    Args:
        max_pages: pages kept.
        max_bytes: content of a page that is kept; longer ones are made anew each time.
    """

    __slots__ = ("_kept", "_max_bytes", "_max_pages")

    def __init__(self, *, max_pages: int, max_bytes: int) -> None:
        self._max_pages: Final = max_pages
        self._max_bytes: Final = max_bytes
        self._kept: OrderedDict[ConversationId, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, conversation: ConversationId, epoch: str, head: int, limit: int) -> MessagePage | None:
        """The newest page of at most `limit` messages of a log that ends at `head`; None when it is not kept."""
        kept = self._kept.get(conversation)
        if kept is None or kept.head != head or kept.limit != limit or kept.epoch != epoch:
            return None
        self._kept.move_to_end(conversation)
        return kept.page

    def keep(
        self, conversation: ConversationId, epoch: str, head: int, limit: int, page: MessagePage, size_bytes: int
    ) -> None:
        """Keep a page in place of the conversation's last one, unless it is too long."""
        if size_bytes > self._max_bytes:
            return
        self._kept[conversation] = _Kept(epoch, head, limit, page)
        self._kept.move_to_end(conversation)
        if len(self._kept) > self._max_pages:
            self._kept.popitem(last=False)
