"""Reading one part of the picture: whatever fails becomes a fact, and none takes for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from kvsync.core.doctor.facts import Unread
from kvsync.model.errors import AccessError, ApiError, Forbidden, NotFound

Result = TypeVar("Result")


async def read_part(
    work: Coroutine[Any, Any, Result], what: str, patience: float
) -> Result | Unread:
    """What ``work`` reads within ``patience`` seconds; ``what`` names it in the sentence of why not."""
    try:
        async with asyncio.timeout(patience):
            return await work
    except NotFound as error:
        return Unread(f"{what} was not found: {error.message.rstrip('.')}.", missing=True)
    except Forbidden as error:
        return Unread(f"{what} may not be read: {error.message.rstrip('.')}.", forbidden=True)
    except (ApiError, AccessError) as error:
        return Unread(f"{what} cannot be read: {str(error).rstrip('.')}.")
    except TimeoutError:
        return Unread(f"{what}: no answer within {patience:.0f} s.")
    except Exception as error:
        # What a cluster that is half there may hold nobody foresees; the other parts are still told.
        return Unread(f"{what} cannot be understood: {type(error).__name__}: {error}.")
