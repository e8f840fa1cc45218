"""docs/settings.md is what its generator writes now."""

import runpy

from documentation.markdown import ROOT

PAGE = (ROOT / "docs" / "settings.md").read_text()


def test_it_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_settings.py"))
    assert generator["page"]() == PAGE, "make generate"


def test_every_setting_and_right_has_a_row() -> None:
    assert "| `--max-rolling` | `KVSYNC_MAX_ROLLING` | `10` |" in PAGE
    assert "| `deployments.apps` (by name) | patch | the gateway's namespace |" in PAGE
