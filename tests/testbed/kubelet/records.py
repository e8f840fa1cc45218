"""What is known of one container: plain data that `status` turns into a containerStatus."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Role(Enum):
    """What a container is to its pod."""

    INIT = "init"
    SIDECAR = "sidecar"
    MAIN = "main"


@dataclass(frozen=True)
class Waiting:
    """Not running, and why."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """Running since."""

    since: datetime


@dataclass(frozen=True)
class Terminated:
    """Ended; ``code`` is 128+N after signal N, as container runtimes report it."""

    code: int
    reason: str
    since: datetime
    until: datetime
    container_id: str
    message: str = ""


State = Waiting | Running | Terminated


@dataclass
class ContainerRecord:
    """One container of a pod as it stands now; changed by its supervisor and its probes."""

    name: str
    image: str
    role: Role
    state: State
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""
    image_id: str = ""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return isinstance(self.state, Running)

    @property
    def outcome(self) -> Terminated | None:
        """How it ended the last time it ran, unless it runs now."""
        if isinstance(self.state, Terminated):
            return self.state
        return self.last if isinstance(self.state, Waiting) else None
