"""What may keep a gateway from using events, as data, and which of it is said first."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.reasons import ConditionReason as Reason


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that keeps events from being used, or that keeps anyone from telling.

    ``what`` is a sentence of the gateway, or a clause that follows the names of sources; ``remedy`` is
    said once for all of them. ``certain`` False: it may keep them from being used.
    """

    reason: Reason
    what: str
    remedy: str = ""
    certain: bool = True

    @property
    def gravity(self) -> tuple[bool, int]:
        """What is certain comes first, then by ``ORDER``."""
        return (not self.certain, _PLACE[self.reason])


ORDER = (
    # Of the gateway: no source is used.
    Reason.GATEWAY_TOO_OLD,
    Reason.GATEWAY_NOT_CONSUMING,
    # Of the engine's release: no setting helps.
    Reason.EVENT_LAYOUT,
    Reason.DATA_PARALLEL_RANKS,
    # Of where it publishes, and of its pod: it is not heard.
    Reason.GATEWAY_PORTS,
    Reason.POD_PASSED_OVER,
    Reason.EVENTS_LABEL_MISSING,
    Reason.MODEL_NAME_MISSING,
    # It is heard, and no prompt matches.
    Reason.LORA_LABEL,
    Reason.ENGINE_NOT_TOKENIZED,
    Reason.TOKENIZER_PORT,
    Reason.BLOCK_SIZE,
    # It cannot be told.
    Reason.GATEWAY_NOT_PERMITTED,
    Reason.GATEWAY_NOT_FOUND,
    Reason.GATEWAY_CONTAINER_NOT_FOUND,
    Reason.GATEWAY_VERSION_UNKNOWN,
    Reason.GATEWAY_VARIABLE_REFERENCED,
    Reason.ENGINE_VERSION_UNKNOWN,
)
"""The gravest first: of what holds for the same sources, what cannot be helped by a setting."""

_PLACE = {reason: place for place, reason in enumerate(ORDER)}
