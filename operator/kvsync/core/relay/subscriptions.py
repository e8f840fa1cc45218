"""Who subscribes: a reader that wants all that is resident, or one that only watches.

A publisher is told of each subscription as one message: 1 and the topic, or 0 and the topic where it
ends (https://rfc.zeromq.org/spec/29). The operator's own probe subscribes anew every few seconds; it
says so by a topic of its own, just before.
"""

from __future__ import annotations

from kvsync.model.events import WATCHING

SOON = 1.0
"""Seconds in which a watcher's subscription follows what it said."""


class Subscriptions:
    """Tells the readers from the watchers. ``topic`` is the one under which all is published."""

    def __init__(self, topic: bytes) -> None:
        self._topic = topic
        self._announced = 0
        self._announced_at = 0.0
        self.standing = 0
        """Subscriptions that stand, of any topic."""

    def heard(self, message: bytes, now: float) -> bool:
        """Take a message; whether a reader is new who is to be told everything."""
        if message[:1] == b"\x00":
            self.standing = max(0, self.standing - 1)
            return False
        if message[:1] != b"\x01":
            return False
        self.standing += 1
        wanted = message[1:]
        if now - self._announced_at > SOON:
            self._announced = 0
        if wanted == WATCHING:
            self._announced += 1
            self._announced_at = now
            return False
        if not self._topic.startswith(wanted):
            return False
        if self._announced:
            self._announced -= 1
            return False
        return True
