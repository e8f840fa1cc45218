"""Whatever the text: it is answered in bounded time, and what was quoted here is read as it was."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.script.stage import WORD, Stage, words_of
from kvsync.core.script.model import Script
from kvsync.core.script.read import read_script
from kvsync.core.script.write import insert_word, quote_word

HOSTILE = {
    "parentheses": "(" * 60_000,
    "closing": ")" * 60_000,
    "pipes": "a|" * 30_000,
    "and": "a&&" * 20_000,
    "backquotes": "&>[`" * 16_000,
    "arrays": "a=(" * 20_000,
    "here-documents": "<<A " * 16_000,
    "nested substitutions": "a $(" * 1_900,
    "nested ifs": "if a; then " * 5_000,
    "expansions": "${a:-" * 12_000,
    "quotes": "'\"" * 30_000,
    "continuations": "\\\n" * 32_000,
    "backslashes": "\\" * 65_000,
    "open references": "$(" * 32_000,
    "comments": "#\n" * 20_000 + "# vllm serve\n" * 1_000,
    "words": "vllm serve " * 5_900,
    "flags": "--kv-events-config=x\n" * 3_000,
    "commands": "vllm serve m;" * 5_000,
    "eval in eval": "eval " * 10_000 + "vllm serve m",
    "evals": "eval 'eval \"vllm serve m\"';" * 2_000,
    "NUL": "\0" * 60_000,
    "surrogates": "vllm serve \ud800 \udfff",
    "long values": "vllm serve " + "$BIG " * 10_000,
    "pasted values": "vllm serve " + "$(BIG) " * 8_000,
    "slots": "vllm serve m " + " ".join(f"$VLLM_{n}_ARGS" for n in range(3_000)),
    "redirections": "vllm serve m" + " >a" * 700,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_read_in_bounded_time(text: str) -> None:
    script = read_script(text, {"BIG": "a b " * 15_000})
    assert isinstance(script, Script)


FRAGMENTS = [
    *("vllm serve m", "vllm", "serve", "python3 -m vllm.entrypoints.openai.api_server", "exec"),
    *("eval ", "bash -c ", "$(", "${", "$A", "$(A)", "$VLLM_ARGS", "`", "'", '"', "\\", "\\\n"),
    *(
        "\n",
        ";",
        "&&",
        "|",
        "&",
        "(",
        ")",
        "{",
        "}",
        "if ",
        "then ",
        "fi",
        "for i in ",
        "do ",
        "done",
    ),
    *(
        "case x in ",
        "esac",
        "<<EOF\n",
        "EOF\n",
        ">",
        "2>&1",
        "#",
        "=",
        "A=",
        "--",
        "*",
        "--x=",
        "é",
    ),
]

TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=30).map(" ".join) | (
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=30).map("".join)
)

VALUES = st.dictionaries(st.sampled_from(["A", "VLLM_ARGS"]), TEXTS, max_size=2)


@given(text=TEXTS, variables=VALUES)
def test_any_text_is_answered(text: str, variables: dict[str, str]) -> None:
    script = read_script(text, variables)
    for command in script.commands:
        assert 0 <= command.end <= len(text)
        assert all(0 <= word.start <= word.end <= len(text) for word in command.words)
    if not script.obstacle:
        (command,) = script.commands
        after = read_script(insert_word(text, command, WORD), variables)
        assert after.obstacle == ""
        assert words_of(after) == [[*words_of(script)[0], WORD]]


@dataclass(frozen=True)
class Made:
    text: str
    words: list[str]


def _double_quoted(word: str) -> str:
    return '"' + "".join(f"\\{sign}" if sign in '\\"$`' else sign for sign in word) + '"'


def _escaped(word: str) -> str:
    if not word or re.search(r"\s", word):  # tree-sitter does not know escaped blanks
        return quote_word(word)
    return "".join(sign if sign.isalnum() else f"\\{sign}" for sign in word)


# Kubernetes would take $( and $$ for its own, and no argument can hold a NUL. A lone dash in front of
# a here-document is not read: tree-sitter takes it for a part of that.
ARGUMENTS = st.text(
    st.characters(exclude_characters="\0\1$\n", exclude_categories=["Cs"]), max_size=8
).filter(lambda word: word != "-")


def test_a_dash_that_is_not_told_from_a_here_document_is_refused() -> None:
    assert read_script("vllm serve - <<E\nx\nE\n", {}).obstacle


QUOTED = st.sampled_from([quote_word, _double_quoted, _escaped])
GAPS = st.sampled_from([" ", "\t", "  ", " \\\n  ", " 2>&1 ", " >log "])


@st.composite
def plain_scripts(draw: st.DrawFn) -> Made:
    """Scripts with one plain command, whose words are known because they were quoted here."""
    words = ["vllm", "serve", *draw(st.lists(ARGUMENTS.filter(lambda w: w != "--"), max_size=5))]
    text = draw(
        st.sampled_from(["", "set -e\n", "A=b; ", "true && ", "# é\n", "exec ", "A=1 B='2 3' "])
    )
    text += "vllm serve"
    for word in words[2:]:
        text += draw(GAPS) + draw(QUOTED)(word)
    text += draw(
        st.sampled_from(["", "\n", " # c", " | cat", "; true", " &\nwait", " <<E\nx\nE\n"])
    )
    return Made(text, words)


@given(made=plain_scripts(), word=ARGUMENTS)
def test_an_inserted_word_can_be_found_and_cut_out_again(made: Made, word: str) -> None:
    script = read_script(made.text, {})
    assert script.obstacle == ""
    assert words_of(script)[0][-len(made.words) :] == made.words
    (command,) = script.commands
    after = insert_word(made.text, command, word)
    added = len(after) - len(made.text)
    assert after[: command.end] + after[command.end + added :] == made.text
    assert words_of(read_script(after, {})) == [[*words_of(script)[0], word]]


@settings(max_examples=40)
@given(made=plain_scripts())
def test_the_shells_agree(stage: Stage, made: Made) -> None:
    (command,) = read_script(made.text, {}).commands
    for shell in ("sh", "bash"):
        assert stage.run(shell, made.text, {}) == [made.words]
        inserted = insert_word(made.text, command, WORD)
        assert stage.run(shell, inserted, {}) == [[*made.words, WORD]]
