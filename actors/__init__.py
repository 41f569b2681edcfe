"""The actor kernel: bounded mailboxes, supervised actors, actors by key. Knows nothing of chat."""

from .actor import Actor
from .child import ChildSpec, RestartType, Service, TaskFunction
from .errors import (
    ActorDied,
    ActorError,
    CallTimeout,
    MailboxClosed,
    MailboxFull,
    MailboxInterrupted,
    Quarantined,
    RegistryFull,
    RestartsExceeded,
    StartFailed,
    summary_of,
)
from .mailbox import Mailbox, MailboxStatistics
from .place import ActorRef, Exit, Monitor
from .registry import Registry, RegistryStatistics
from .reply import Reply
from .restart import GiveUp, Restart, RestartIntensity, RestartWindow
from .slot import Slot, SlotState
from .supervisor import Strategy, Supervisor
from .tree import Node, NodeKind

__all__ = [
    "Actor",
    "ActorDied",
    "ActorError",
    "ActorRef",
    "CallTimeout",
    "ChildSpec",
    "Exit",
    "GiveUp",
    "Mailbox",
    "MailboxClosed",
    "MailboxFull",
    "MailboxInterrupted",
    "MailboxStatistics",
    "Monitor",
    "Node",
    "NodeKind",
    "Quarantined",
    "Registry",
    "RegistryFull",
    "RegistryStatistics",
    "Reply",
    "Restart",
    "RestartIntensity",
    "RestartType",
    "RestartWindow",
    "RestartsExceeded",
    "Service",
    "Slot",
    "SlotState",
    "StartFailed",
    "Strategy",
    "Supervisor",
    "TaskFunction",
    "summary_of",
]
