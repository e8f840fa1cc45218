"""Whether a port can be connected to from here: no byte is sent."""

from __future__ import annotations

import asyncio
import os

PATIENCE = 2.0
"""Seconds for the look-up of the name and the connection."""


async def reach(host: str, port: int, patience: float = PATIENCE) -> str:
    """Empty where a connection was accepted, else why not in a few words."""
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {patience:g} s"
    except (OSError, UnicodeError) as error:
        return _words(error)
    writer.close()
    return ""


def _words(error: OSError | UnicodeError) -> str:
    """What it says; the system's own words where asyncio has others for it."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
