"""What was found out about the engine of a workload, and refusals to touch it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kvsync.model.spec import Dialect, EngineType
from kvsync.model.version import Version


class VersionSource(enum.StrEnum):
    """How an engine's version was found out."""

    SPEC = "Spec"
    TAG = "ImageTag"
    RUNNING = "RunningEngine"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class EngineFinding:
    """The engine of a workload: its container, version, dialect, command line and HTTP port."""

    type: EngineType
    container: str
    image: str
    version: Version | None
    version_source: VersionSource
    dialect: Dialect
    words: tuple[str, ...]
    """Its command line as far as the manifest tells it."""
    http_port: int
    served_model: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a workload is not touched, and what to do about it: one sentence each."""

    reason: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know of a change that is made all the same."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message
