"""Each word of a command: where it stands in the text as written, and whether it is known."""

from core.script.stage import ENV
from kvsync.core.script.read import read_script


def test_spans_are_those_of_the_text_as_written() -> None:
    text = "N='🦜'; vllm serve $$x '$(MODEL)' $FLAGS --port=$(PORT) \\\n  ümlaut >log"
    (command,) = read_script(text, ENV).commands
    spans = {word.text: text[word.start : word.end] for word in command.words}
    assert spans == {
        "vllm": "vllm",
        "serve": "serve",
        "$x": "$$x",
        "org/model": "'$(MODEL)'",
        "--max-num-seqs": "$FLAGS",
        "4": "$FLAGS",
        "--port=8000": "--port=$(PORT)",
        "ümlaut": "ümlaut",
    }
    assert text[command.end :] == " >log"


def test_a_word_tells_its_variable_and_whether_it_is_known() -> None:
    text = "M=x; vllm serve $M $MODEL \"$OTHER\" ~/m * --glob=* {a,b} $(hostname) '*' $(SECRET) $QUOTED"
    (command,) = read_script(text, ENV).commands
    assert [(word.text, word.variable, word.literal) for word in command.words[2:]] == [
        ("$M", "", False),  # the script's own
        ("org/model", "MODEL", True),
        ("$OTHER", "OTHER", False),
        ("~/m", "", False),
        ("*", "", False),
        ("--glob=*", "", True),  # no file is named like this
        ("{a,b}", "", False),
        ("$(hostname)", "", False),
        ("*", "", True),
        ("$(SECRET)", "SECRET", False),
        ("--name", "QUOTED", True),
        ("'a", "QUOTED", True),
        ("b'", "QUOTED", True),
    ]
