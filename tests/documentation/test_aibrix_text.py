"""The commands, options and pages that the AIBrix text names are answered, and its script's form works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documentation.markdown import ROOT

DOCS = ROOT / "docs"
SCRIPT = DOCS / "migration" / "enable-kv-events.sh"
ANSWERS = (DOCS / "product-text.md").read_text()

NAMED = (
    "samples/quickstart/model-with-kv-events.yaml",
    "./migration/enable-kv-events.sh default my-model",
    "kubectl set env deployment/aibrix-gateway-plugins",
    'grep "KV cache events"',
    'grep "KV event"',
    "--enable-kv-cache-events",
    "--kv-events-buffer-steps",
    "--kv-events-topic",
    "AIBRIX_USE_REMOTE_TOKENIZER",
    "AIBRIX_KV_EVENT_SYNC_ENABLED",
    "AIBRIX_REMOTE_TOKENIZER_ENDPOINT",
    "AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE",
    "kvcache-watcher",
    "1 % CPU",
    "1 MB/s",
    "compression",
)
PAGES = (
    "deployment/kv-event-sync-setup",
    "api/kv-event-sync",
    "migration/enable-kv-events",
    "testing/kv-event-sync-e2e",
)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_text_names_has_a_row(name: str) -> None:
    assert any(name in line for line in ANSWERS.splitlines() if line.startswith("|"))


def test_every_row_says_what_is_so_and_where_it_is_told() -> None:
    rows = [line for line in ANSWERS.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        cells = [cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|")]
        assert len(cells) == 3, row
        assert all(cells), row
        assert "](" in row, row


@pytest.mark.parametrize("page", PAGES)
def test_the_texts_own_pages_are_there_and_say_whose_place_they_take(page: str) -> None:
    assert f"`/{page}`" in (DOCS / f"{page}.md").read_text()


def run(*words: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_script_hands_its_words_to_kvsync_enable() -> None:
    done = run("default", "my-model", "--help", path=f"{Path(sys.executable).parent}:{os.defpath}")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: kvsync enable")


def test_the_script_asks_for_both_words() -> None:
    done = run("my-model", path=os.defpath)
    assert done.returncode == 2
    assert "NAMESPACE DEPLOYMENT" in done.stderr


def test_the_script_says_how_to_get_kvsync(tmp_path: Path) -> None:
    (tmp_path / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    done = run("default", "my-model", path=str(tmp_path))
    assert done.returncode == 127
    assert "pip install ." in done.stderr
