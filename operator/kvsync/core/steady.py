"""What stays true of a source while it is too early to tell anew."""

from __future__ import annotations

from dataclasses import replace

from kvsync.model.source import SourceReason, Verdict


def steady(before: Verdict | None, now: Verdict) -> Verdict:
    """The verdict that stands, by the one that stood before and the newest look.

    A look that is not settled changes nothing of what was settled of the same source: what failed
    fails, settled; what was verified stays verified, but not settled: good enough to keep what is
    configured, no proof to trust it anew. How a source writes its events is not forgotten while its
    pod lives; of models with blocks of several sizes the first one seen stands. Whether it answers is
    always the newest look's.
    """
    if before is None or before.key != now.key:
        return now
    now = replace(
        now,
        layout=now.layout or before.layout,
        block_size=_block_size(before, now),
    )
    if now.settled:
        return now
    if before.verified:
        return _held(before, now)
    return replace(before, answers=now.answers) if before.settled else now


def _block_size(before: Verdict, now: Verdict) -> int | None:
    if now.reason is SourceReason.ENGINE_RESTARTED:
        return now.block_size or before.block_size
    return before.block_size or now.block_size


def _held(before: Verdict, now: Verdict) -> Verdict:
    if now.reason is not SourceReason.PROBE_RESTARTED:
        return replace(
            before,
            settled=False,
            answers=now.answers,
            layout=now.layout,
            block_size=now.block_size,
        )
    return replace(now, verified=True)
