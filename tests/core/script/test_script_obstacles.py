"""Scripts whose text takes no further word say why."""

import pytest

from core.script.stage import ENV
from kvsync.core.script.budget import MAX_LENGTH
from kvsync.core.script.read import read_script

NOT_PLAIN = {
    "": "no command of the engine stands in it",
    "sleep 1": "no command of the engine stands in it",
    "pip install vllm": "no command of the engine stands in it",
    'echo "vllm serve"; echo vllm serve m': "no command of the engine stands in it",
    "# vllm serve m": "no command of the engine stands in it",
    "cat > run.sh <<EOF\nvllm serve m\nEOF\nsh run.sh": "no command of the engine stands in it",
    "vllm serve a; vllm serve b": "it starts the engine in 2 places",
    "if a; then vllm serve a; else vllm serve b; fi": "it starts the engine in 2 places",
    "A=(vllm serve a); vllm serve b": "it starts the engine in 2 places",
    "if true; then vllm serve m; fi": "the engine is started inside of an if",
    "if vllm serve m; then true; fi": "the engine is started inside of an if",
    "while true; do vllm serve m; done": "the engine is started inside of a loop",
    "for i in 1 2; do vllm serve m; done": "the engine is started inside of a loop",
    "for ((i=0; i<2; i++)); do vllm serve m; done": "the engine is started inside of a loop",
    "case $X in a) vllm serve m;; esac": "the engine is started inside of a case",
    "f() { vllm serve m; }; f": "the engine is started inside of a function",
    "(vllm serve m)": "the engine is started inside of a subshell",
    "{ vllm serve m; }": "the engine is started inside of a group of commands",
    "X=$(vllm serve m)": "the engine is started inside of a command substitution",
    "echo `vllm serve m`": "the engine is started inside of a command substitution",
    "cat <(vllm serve m)": "the engine is started inside of a process substitution",
    'A=(vllm serve m); "${A[@]}"': "the engine is started inside of an array",
    'eval "vllm serve m"': "it starts the engine through eval",
    "eval vllm serve m": "it starts the engine through eval",
    "bash -c 'vllm serve m'": "it starts the engine through a shell of its own",
    "exec tini -- bash -eo pipefail -c 'vllm serve m'": "it starts the engine through a shell of its own",
    "eval \"bash -c 'vllm serve m'\"": "it starts the engine through a shell of its own",
    "xargs vllm serve m": "it starts the engine through xargs",
    "'a\nb' vllm serve m": "it starts the engine through a?b",
    "$RUN vllm serve m": "it starts the engine through $RUN",
    "vllm serve m -- x": "the options of the command end with --",
    "vllm serve m; su app -c 'vllm serve x'": "it names the engine in another place too",
    "cat <<EOF | sh\nvllm serve x\nEOF\nvllm serve m": "it names the engine in another place too",
    'CMD="vllm serve x"; vllm serve m; $CMD': "it names the engine in another place too",
    'vllm() { command vllm "$@"; }; vllm serve m': "vllm is a function of the script",
    "vllm serve m $(ENDS)": "the command ends inside of $(ENDS)",
    "vllm serve m $(TWO)": "the command ends inside of $(TWO)",
    "vllm serve m $(SECRET)": "it is not known what $(SECRET), its last word, stands for",
    "vllm serve m\\\n# c": "the words of the command cannot be told apart",
    "vllm serve m \\ x": "the words of the command cannot be told apart",
    "vllm serve m =~ 2>&1": "the words of the command cannot be told apart",
    "vllm serve m &> log --port 8000": "the words of the command cannot be told apart",
    "vllm serve m 10> log": "the words of the command cannot be told apart",
    "vllm serve m \\": "it cannot be parsed",
    "if true; then vllm serve m": "it cannot be parsed",
    "vllm serve 'm": "it cannot be parsed",
    "vllm serve m )": "it cannot be parsed",
    "vllm serve m <<EOF --port 8000 >log\nEOF\n": "it cannot be parsed",  # by tree-sitter
    "vllm serve m" + " " * MAX_LENGTH: "it is longer than 64 KiB",
    "vllm serve m" + " $(LONG)" * 3000: "it is longer than 64 KiB",
}

NOT_PLAIN_ENV = ENV | {"ENDS": "--a\n", "TWO": "--a; true", "LONG": "x" * 1000}


@pytest.mark.parametrize(("text", "obstacle"), NOT_PLAIN.items(), ids=lambda value: value[:40])
def test_what_is_not_plain_says_why(text: str, obstacle: str) -> None:
    assert read_script(text, NOT_PLAIN_ENV).obstacle == obstacle
