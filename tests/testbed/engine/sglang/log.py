"""Log lines in SGLang's form, on stderr: ``[2025-11-22 10:00:00 DP0 TP0] …`` (``configure_logger``)."""

import sys
import time


def line(text: str, process: str = "") -> None:
    """Print one record of ``process``: none for the main process, else such as ``DP0 TP0``."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    head = f"[{stamp} {process}]" if process else f"[{stamp}]"
    print(f"{head} {text}", file=sys.stderr, flush=True)
