"""promtool at work."""

import subprocess
from pathlib import Path

from testbed.promtool.install import find_promtool


def promtool(*words: str | Path, said: bytes = b"") -> str:
    """Run it over what is ``said`` to it. Raises RuntimeError with its words where it finds fault."""
    done = subprocess.run(
        [str(find_promtool()), *map(str, words)],
        input=said,
        capture_output=True,
        timeout=60,
        check=False,
    )
    answer = done.stdout.decode() + done.stderr.decode()
    if done.returncode:
        raise RuntimeError(f"promtool {' '.join(map(str, words))}:\n{answer}")
    return answer


def check_scrape(text: bytes) -> None:
    """Hold a scrape against Prometheus' conventions. Raises RuntimeError where it does not keep them."""
    promtool("check", "metrics", said=text)
