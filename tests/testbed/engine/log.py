"""Log lines in vLLM's form, on stdout: ``(EngineCore_DP0 pid=7) INFO 11-22 10:00:00 [x.py:1] …``."""

import os
import time

API_SERVER = "APIServer"


def line(process: str, level: str, source: str, text: str) -> None:
    """Print one line of vLLM's own logger; ``source`` is file and line, as ``kv_events.py:308``."""
    stamp = time.strftime("%m-%d %H:%M:%S")
    for part in text.splitlines():
        print(f"({process} pid={os.getpid()}) {level} {stamp} [{source}] {part}", flush=True)


def uvicorn(text: str) -> None:
    """Print one line as uvicorn does."""
    print(f"INFO:     {text}", flush=True)


def core_of(rank: int) -> str:
    """The name that a data-parallel rank's engine core logs under."""
    return f"EngineCore_DP{rank}"
