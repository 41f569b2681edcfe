"""Every setting of every part: data only, frozen, each with its unit, bound and reason. Loading them is somebody else's work."""

import attrs
from attrs.validators import ge, gt

_MIB = 1024 * 1024


def _size(default: int, doc: str) -> int:
    return attrs.field(default=default, validator=ge(1), metadata={"help": doc})


def _seconds(default: float, doc: str) -> float:
    return attrs.field(default=default, validator=gt(0.0), metadata={"help": doc})


@attrs.frozen(kw_only=True)
class ConversationSettings:
    """Bounds of one conversation."""

    text_bytes: int = _size(64 * 1024, "text of a message, UTF-8 bytes")
    meta_bytes: int = _size(8 * 1024, "meta of a message, encoded JSON bytes")
    title_chars: int = _size(200, "title of a conversation")
    tail_items: int = _size(4096, "events kept in memory")
    tail_bytes: int = _size(4 * _MIB, "bytes of events kept in memory, whichever bound is met first")
    tail_load_items: int = _size(500, "events read back when a conversation is activated")
    mailbox_items: int = _size(4096, "commands waiting for the conversation; more are refused")
    waiting_items: int = _size(4096, "posts waiting behind the batch in flight; more are refused")
    waiting_bytes: int = _size(16 * _MIB, "bytes of posts waiting behind the batch in flight; more are refused")
    batch_items: int = _size(64, "posts handed to the storage actor at once")
    batch_bytes: int = _size(1 * _MIB, "bytes of posts handed to the storage actor at once")
    dedupe_items: int = _size(1024, "idempotency keys remembered in memory; the store knows all of them")
    dedupe_bytes: int = _size(1 * _MIB, "bytes of remembered acks, whichever bound is met first")
    write_bytes: int = _size(256 * 1024, "events joined into one write to a subscriber")
    pass_items: int = _size(256, "subscribers served before a pass lets others run")
    post_deadline_s: float = _seconds(10.0, "a post that is not committed by then is answered with an error")
    typing_s: float = _seconds(6.0, "how long one typing event stands")
    typing_again_s: float = attrs.field(
        default=1.0,
        validator=ge(0.0),
        metadata={"help": "for so long after an author's typing event further ones are answered, and not shown again"},
    )
    typing_items: int = _size(1024, "authors whose last typing event is remembered; one that is not is shown again")
    signal_items: int = _size(256, "ephemeral events waiting to be spread; the oldest gives way")


@attrs.frozen(kw_only=True)
class EngineSettings:
    """Bounds of the whole engine."""

    conversation: ConversationSettings = attrs.field(factory=ConversationSettings)
    live_conversations: int = _size(20_000, "conversations in memory at once")
    idle_s: float = _seconds(60.0, "a conversation without work and subscribers leaves memory after this time")
    tails_bytes: int = _size(256 * _MIB, "all tails together; the quiet ones shrink first")
    paging_subscribers: int = _size(256, "subscribers reading pages of the log at once; more are cut off, resumable")
    page_items: int = _size(500, "largest page of history or replay")
    page_default_items: int = _size(50, "page of history when none is asked for")
    page_bytes: int = _size(256 * 1024, "bytes of one page of replay")
    tick_s: float = _seconds(0.25, "grain of deadlines and of housekeeping")
    drain_s: float = _seconds(15.0, "time to finish what was accepted when the engine closes")


@attrs.frozen(kw_only=True)
class WriterSettings:
    """Bounds and pace of the storage actor."""

    queue_items: int = _size(20_000, "rows accepted and not yet committed; more are refused")
    commit_items: int = _size(128, "rows in one transaction (many small ones beat few big ones, feasibility F)")
    commit_bytes: int = _size(2 * _MIB, "bytes of rows in one transaction")
    pace_s: float = attrs.field(
        default=0.004,
        validator=ge(0.0),
        metadata={
            "help": "when many conversations post, commits start at least so far apart; an idle system commits at once"
        },
    )
    pace_items: int = _size(8, "rows that are worth a commit; while fewer wait, commits are up to twice the pace apart")
    retry_s: float = _seconds(0.05, "first wait after the store went away; doubles")
    retry_max_s: float = _seconds(0.25, "longest wait between tries")
