"""What a changing command came to: one object on stdout for a program, the story on stderr, the exit code."""

from __future__ import annotations

import json

import click
import pytest
import yaml

from kvsync.cli.upshot import Upshot, carry_out, print_data
from kvsync.model.reasons import ModelReason


async def work(*, done: bool) -> Upshot:
    click.echo("on its way")
    return Upshot("ns", "m", done, "Synchronized", "All is well.")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_program_gets_one_object_and_a_person_the_story(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    carry_out(work(done=True), form)
    said = capsys.readouterr()
    read = json.loads if form == "json" else yaml.safe_load
    assert read(said.out) == {
        "namespace": "ns",
        "name": "m",
        "done": True,
        "reason": "Synchronized",
        "message": "All is well.",
    }
    assert said.err == "on its way\n"


def test_a_table_is_the_story_itself(capsys: pytest.CaptureFixture[str]) -> None:
    carry_out(work(done=True), "table")
    assert capsys.readouterr().out == "on its way\n"


def test_what_is_not_done_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        carry_out(work(done=False), "json")
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["done"] is False


def test_a_word_of_ours_is_a_word_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "yaml"):
        print_data({"reason": ModelReason.VERIFYING}, form)
        assert yaml.safe_load(capsys.readouterr().out) == {"reason": "Verifying"}
