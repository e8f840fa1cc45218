"""Shell scripts that start an engine: read, and changed. The shells themselves have the last word."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsync.core.script import (
    MAX_LENGTH,
    Quoting,
    Script,
    Slot,
    carries_arguments,
    fill_slot,
    insert_word,
    quote_word,
    read_script,
)
from testbed.kubelet.expansion import expand

WORD = '--kv-events-config={"enable_kv_cache_events":true,"endpoint":"tcp://*:5557","topic":""}'
END = "\1"

# What the engines' stand-ins write down: each argument and an end sign, every one closed by a NUL.
RECORDER = f"""#!/bin/sh
printf '%s\\0' "${{0##*/}}" "$@" '{END}' >> "$RECORD"
"""
WRAPPER = """#!/bin/sh
while [ "$1" != vllm ]; do shift; done
exec "$@"
"""
QUIET = "#!/bin/sh\nexit 0\n"


@dataclass(frozen=True)
class Stage:
    """A place where scripts run for real, with stand-ins for the programs that they start."""

    root: Path

    def build(self) -> None:
        programs = {
            **dict.fromkeys(("vllm", "python3", "start.sh"), RECORDER),
            **dict.fromkeys(("numactl", "tini"), WRAPPER),
            **dict.fromkeys(("pip", "ray", "curl"), QUIET),
        }
        self.bin.mkdir()
        for name, text in programs.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        for name in ("bash", "cat", "env", "nohup", "sh", "tee"):
            (self.bin / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def run(self, shell: str, text: str, variables: Mapping[str, str]) -> list[list[str]]:
        """The command lines that the engines' stand-ins got, in order."""
        record, directory = self.root / "record", self.root / "directory"
        record.write_bytes(b"")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        subprocess.run(
            [self.bin / shell, "-c", expand(text, variables)],
            env={**variables, "PATH": str(self.bin), "RECORD": str(record), "LC_ALL": "C.UTF-8"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        calls: list[list[str]] = [[]]
        for word in record.read_bytes().decode().split("\0")[:-1]:
            if word == END:
                calls.append([])
            else:
                calls[-1].append(word)
        return calls[:-1]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = Stage(tmp_path_factory.mktemp("stage"))
    made.build()
    return made


def words_of(script: Script) -> list[list[str]]:
    return [[word.text for word in command.words] for command in script.commands]


AIBRIX = """python3 -m vllm.entrypoints.openai.api_server \\
--host "0.0.0.0" \\
--port "8000" \\
--model /models/Qwen3-8B \\
--served-model-name qwen3-8B \\
--kv-transfer-config '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
"""
RAY_HEAD = """ulimit -n 65536;
echo "[INFO] Starting Ray head node..." &&
eval "$RAY_START" &

echo "[INFO] Waiting for the dashboard" &&
until curl --fail http://127.0.0.1:8265 > /dev/null 2>&1; do
  echo "[WAITING] $(date -u +'%Y-%m-%dT%H:%M:%SZ') - not ready yet...";
  sleep 2;
done &&
echo "[SUCCESS] dashboard is available!" &&

vllm serve Qwen/Qwen2.5 \\
  --distributed-executor-backend ray \\
  --dtype half
"""

ENV = {
    "MODEL": "org/model",
    "PORT": "8000",
    "EMPTY": "",
    "QUOTED": "--name 'a b'",
    "FLAGS": " --max-num-seqs  4 ",
    "RAY_START": "ray start --head",
}
PLAIN = {
    "alone": "vllm serve m",
    "aibrix": AIBRIX,
    "ulimit": "ulimit -n 65536; vllm serve m --port 8000",
    "bash: pipefail": 'set -euo pipefail\nexec vllm serve "$MODEL" --port 8000 2>&1 | tee ./log',
    "bash: process substitution": "exec vllm serve m > >(tee log) 2>&1",
    "bash: both streams": "time vllm serve m &> log",
    "install first": "pip install x && vllm serve m",
    "ray head": RAY_HEAD,
    "background": "vllm serve m &\nwait",
    "path": '"$PATH_OF"vllm serve m || exit 1',
    "comment behind": "vllm serve m # vllm serve another",
    "comment after a continuation": "vllm serve m \\\n  # --port 8000\ntrue",
    "commented option is a command": "vllm serve m \\\n# c\n--port 8000",
    "ends in a continuation": "vllm serve m \\\n  --port 8000 \\\n",
    "ends in continuations": "vllm serve m \\\n \\\n  \\\n  ",
    "word over two lines": "vllm serve mo\\\ndel --po\\\nrt 8000",
    "sglang": "python3 -m sglang.launch_server --model-path m",
    "redirected early": ">log 2>&1 vllm serve m",
    "redirected in the middle": "vllm serve m >log --port 8000 2>&1 --dtype half",
    "redirected without a blank": "vllm serve m>log",
    "number before a redirection": "vllm serve m --port 8000 >log 2>&1",
    "closed descriptor": "vllm serve m --port 8000 2>&-",
    "list redirected": "true && vllm serve m >log --port 8000",
    "here-document": "vllm serve m <<EOF --port 8000\n$MODEL\nEOF\ntrue",
    "another's here-document": "cat >/dev/null <<'EOF'\nhello\nEOF\nvllm serve m",
    "fed by a here-document": "cat <<EOF | vllm serve m --stdin\nhello\nEOF",
    "carriage returns": "vllm serve m --port 8000\r\ntrue\r\n",
    "not ASCII": 'N="größe 🦜"; vllm serve "modèle" --name ✓\u00a0x \'日本\' # 終\n',
    "assignment before": "CUDA_VISIBLE_DEVICES=0 VLLM_USE_V1=1 vllm serve m",
    "wrapped": "exec nohup env A=b numactl -N 0 vllm serve m",
    "init": "tini -- vllm serve m --port 8000",
    "negated": "! vllm serve m",
    "talk of it": 'echo "starting vllm serve $MODEL"; printf "vllm serve\\n" >&2; vllm serve m',
    "quoting": """vllm serve 'a b' "c $MODEL d" e\\ f g"h"'i' "" --j "{\\"a\\": \\\\ \\x}" '$MODEL' \\$x""",
    "variables": 'vllm serve $MODEL $EMPTY "$EMPTY" a$FLAGS"b" ${PORT} ${EMPTY:-x y} ${PORT-z}',
    "pasted": "vllm serve $(MODEL) $(QUOTED) --port=$(PORT) '$(PORT)' $$MODEL '$$' $(EMPTY)",
    "pasted into a string": 'vllm serve "$(MODEL) $(PORT)" --port 8000',
    "last word empty": "vllm serve m $EMPTY # c",
    "command in a variable": "$COMMAND --port 8000",
    "unknown words": 'vllm serve "$(echo m)" --n `echo 1` --x $((1 + 2)) "$@"',
}
PLAIN_ENV = ENV | {"COMMAND": "vllm serve m", "PATH_OF": ""}


@pytest.mark.parametrize(
    ("name", "shell"),
    [(name, "bash") for name in PLAIN]
    + [(name, "sh") for name in PLAIN if not name.startswith("bash")],
)
def test_a_plain_command_gets_one_word_more(stage: Stage, name: str, shell: str) -> None:
    text = PLAIN[name]
    script = read_script(text, PLAIN_ENV)
    assert script.obstacle == ""
    (command,) = script.commands
    (before,) = stage.run(shell, text, PLAIN_ENV)
    (after,) = stage.run(shell, insert_word(text, command, WORD), PLAIN_ENV)
    assert after == [*before, WORD]
    if all(word.literal for word in command.words):
        assert [word.text for word in command.words][-len(before) :] == before


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


NOT_PLAIN = {
    "": "no vLLM command stands in it",
    "sleep 1": "no vLLM command stands in it",
    "pip install vllm": "no vLLM command stands in it",
    'echo "vllm serve"; echo vllm serve m': "no vLLM command stands in it",
    "# vllm serve m": "no vLLM command stands in it",
    "cat > run.sh <<EOF\nvllm serve m\nEOF\nsh run.sh": "no vLLM command stands in it",
    "vllm serve a; vllm serve b": "it starts vLLM in 2 places",
    "if a; then vllm serve a; else vllm serve b; fi": "it starts vLLM in 2 places",
    "A=(vllm serve a); vllm serve b": "it starts vLLM in 2 places",
    "if true; then vllm serve m; fi": "vLLM is started inside of an if",
    "if vllm serve m; then true; fi": "vLLM is started inside of an if",
    "while true; do vllm serve m; done": "vLLM is started inside of a loop",
    "for i in 1 2; do vllm serve m; done": "vLLM is started inside of a loop",
    "for ((i=0; i<2; i++)); do vllm serve m; done": "vLLM is started inside of a loop",
    "case $X in a) vllm serve m;; esac": "vLLM is started inside of a case",
    "f() { vllm serve m; }; f": "vLLM is started inside of a function",
    "(vllm serve m)": "vLLM is started inside of a subshell",
    "{ vllm serve m; }": "vLLM is started inside of a group of commands",
    "X=$(vllm serve m)": "vLLM is started inside of a command substitution",
    "echo `vllm serve m`": "vLLM is started inside of a command substitution",
    "cat <(vllm serve m)": "vLLM is started inside of a process substitution",
    'A=(vllm serve m); "${A[@]}"': "vLLM is started inside of an array",
    'eval "vllm serve m"': "it starts vLLM through eval",
    "eval vllm serve m": "it starts vLLM through eval",
    "bash -c 'vllm serve m'": "it starts vLLM through a shell of its own",
    "exec tini -- bash -eo pipefail -c 'vllm serve m'": "it starts vLLM through a shell of its own",
    "eval \"bash -c 'vllm serve m'\"": "it starts vLLM through a shell of its own",
    "xargs vllm serve m": "it starts vLLM through xargs",
    "'a\nb' vllm serve m": "it starts vLLM through a?b",
    "$RUN vllm serve m": "it starts vLLM through $RUN",
    "vllm serve m -- x": "the options of the command end with --",
    "vllm serve m; su app -c 'vllm serve x'": "it names vLLM in another place too",
    "cat <<EOF | sh\nvllm serve x\nEOF\nvllm serve m": "it names vLLM in another place too",
    'CMD="vllm serve x"; vllm serve m; $CMD': "it names vLLM in another place too",
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


def test_commands_are_found_at_any_nesting() -> None:
    text = """
    if [ -n "$GPU" ]; then vllm serve a; else python3 -m vllm.entrypoints.openai.api_server b; fi
    bash -c "exec /opt/venv/bin/vllm serve $MODEL --port '1 2'"
    eval 'eval "vllm serve $MODEL"'
    """
    assert words_of(read_script(text, ENV)) == [
        ["vllm", "serve", "a"],
        ["python3", "-m", "vllm.entrypoints.openai.api_server", "b"],
        ["exec", "/opt/venv/bin/vllm", "serve", "org/model", "--port", "1 2"],
        ["vllm", "serve", "org/model"],
    ]


# --- Slots ----------------------------------------------------------------------------------------

KSERVE = """if [ "$KSERVE_INFER_ROCE" = "true" ]; then
  hcas=$(IFS=,; echo "${active_hcas[*]}")
  count["${idx}"]=$((${count["${idx}"]} + 1))
fi
VLLM_VERSION=$(vllm --version 2>/dev/null | cat)
if [[ "$VLLM_VERSION" =~ ^[0-9]+\\.[0-9]+ ]] && [ "$VLLM_VERSION" = "0.16.0" ]; then
  ACCESS_LOG_ARGS="--disable-access-log-for-endpoints /health,/metrics"
fi
eval "exec vllm serve \\
  /mnt/models \\
  --served-model-name "llama" "publishers/ns/models/llama" \\
  --api-server-count ${VLLM_API_SERVER_COUNT:-8} \\
  --data-parallel-address $(LWS_LEADER_ADDRESS) \\
  ${ACCESS_LOG_ARGS} \\
   \\
  ${VLLM_ADDITIONAL_ARGS} \\
  $@"
"""
SET = {
    "VLLM_ARGS": "--max-model-len 4096",
    "VLLM_EXTRA_ARGS": "--x '{\"a\": 1}'",
    "VLLM_OPTS": "--o\n",
    "LWS_LEADER_ADDRESS": "10.0.0.1",
}
SLOTS: dict[str, dict[str, Quoting]] = {
    KSERVE: {"VLLM_ADDITIONAL_ARGS": Quoting.SHELL},
    "vllm serve m $VLLM_ARGS": {"VLLM_ARGS": Quoting.RAW},
    "vllm serve m ${EXTRA_ARGS} --port 1": {"EXTRA_ARGS": Quoting.RAW},
    "vllm serve m ${ENGINE_ARGS:-} ": {"ENGINE_ARGS": Quoting.RAW},
    "vllm serve m ${VLLM_ARGS:---x}": {"VLLM_ARGS": Quoting.RAW},  # is set
    "vllm serve m $(VLLM_ARGS)": {"VLLM_ARGS": Quoting.SHELL},
    "vllm serve m $(SGLANG_ARGS) --port 1": {"SGLANG_ARGS": Quoting.SHELL},
    "vllm serve m $(VLLM_EXTRA_ARGS) x": {"VLLM_EXTRA_ARGS": Quoting.SHELL},
    "vllm serve m $VLLM_OPTS x": {"VLLM_OPTS": Quoting.RAW},
    "eval vllm serve m $VLLM_EXTRA_ARGS": {"VLLM_EXTRA_ARGS": Quoting.SHELL},
    "eval 'vllm serve m $VLLM_ARGS'": {"VLLM_ARGS": Quoting.RAW},
    "bash -c 'vllm serve m $VLLM_ARGS'": {"VLLM_ARGS": Quoting.RAW},
    'bash -c "vllm serve m $VLLM_ARGS"': {"VLLM_ARGS": Quoting.SHELL},
    "if true; then vllm serve a $VLLM_ARGS; else vllm serve b $VLLM_ARGS; fi": {
        "VLLM_ARGS": Quoting.RAW
    },
    'IFS=,; eval "vllm serve m $VLLM_EXTRA_ARGS"': {"VLLM_EXTRA_ARGS": Quoting.SHELL},
    "shopt -s nullglob 2>/dev/null; vllm serve m $(VLLM_ARGS)": {"VLLM_ARGS": Quoting.SHELL},
    "set -f; vllm serve m $VLLM_ARGS": {"VLLM_ARGS": Quoting.RAW},
    "VLLM_ARGS=x; vllm serve m $(VLLM_ARGS)": {"VLLM_ARGS": Quoting.SHELL},  # pasted before
    "start.sh $VLLM_ARGS": {"VLLM_ARGS": Quoting.RAW},
    'eval "start.sh $VLLM_ARGS"': {"VLLM_ARGS": Quoting.SHELL},
    "vllm serve m $VLLM_ARGS $MODEL_OPTS": {
        "VLLM_ARGS": Quoting.RAW,
        "MODEL_OPTS": Quoting.RAW,
    },
}


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    ("text", "slots"), SLOTS.items(), ids=lambda v: v if type(v) is str else ""
)
def test_a_slot_hands_on_one_word_more(
    stage: Stage, text: str, slots: dict[str, Quoting], shell: str
) -> None:
    found = read_script(text, SET).slots
    assert {slot.name: slot.quoting for slot in found} == slots
    for slot in found:
        value = fill_slot(slot, SET.get(slot.name, ""), WORD)
        assert value is not None
        filled = SET | {slot.name: expand(value, SET)}
        before, after = stage.run(shell, text, SET), stage.run(shell, text, filled)
        assert before
        assert [line.count(WORD) for line in after if "--version" not in line] == [1]
        assert [[w for w in line if w != WORD] for line in after] == before


@pytest.mark.parametrize(
    "text",
    [
        'vllm serve m "$VLLM_ARGS"',
        'vllm serve m "$(VLLM_ARGS)"',
        "vllm serve m '$VLLM_ARGS'",
        "vllm serve m --x=$VLLM_ARGS",
        "vllm serve m {a,b}$VLLM_ARGS",
        "vllm serve m ${VLLM_ARGS%x}",
        "vllm serve m ${EXTRA_ARGS:---x}",  # the default would be lost
        "vllm serve m -- $VLLM_ARGS",
        "python3 $VLLM_ARGS -m vllm.entrypoints.openai.api_server",
        "vllm serve m # $VLLM_ARGS",
        "pip install $VLLM_ARGS; vllm serve m",
        "vllm serve a $VLLM_ARGS; vllm serve b",
        "VLLM_ARGS=x; vllm serve m $VLLM_ARGS",
        'export VLLM_ARGS="$VLLM_ARGS --x"; vllm serve m $VLLM_ARGS',
        'VLLM_ARGS+=" --x"; vllm serve m $VLLM_ARGS',
        ': "${VLLM_ARGS:=x}"; vllm serve m $VLLM_ARGS',
        "read -r VLLM_ARGS < file; vllm serve m $VLLM_ARGS",
        "for VLLM_ARGS in a b; do vllm serve m $VLLM_ARGS; done",
        "unset VLLM_ARGS; vllm serve m $VLLM_ARGS",
        "printf -v VLLM_ARGS x; vllm serve m $VLLM_ARGS",
        "eval VLLM_ARGS=x; vllm serve m $VLLM_ARGS",
        "IFS=,; vllm serve m $VLLM_ARGS",
        "shopt -s nullglob; vllm serve m $VLLM_ARGS",
        "shopt -s failglob; vllm serve m $VLLM_ARGS",
        'eval "vllm serve m $(VLLM_ARGS)"',  # its quotes and those of eval would close each other
        "vllm serve m $(VLLM_OPTS)",  # its value ends the line
        "if true; then vllm serve m $VLLM_ARGS",
        "$UNKNOWN vllm serve m $VLLM_ARGS",
        "vllm serve m $PIP_ARGS $RAY_ARGS $LD_FLAGS $MODEL $VLLM_ARGS_FILE $RAY_EXTRA_ARGS",
        "echo $VLLM_ARGS; ./start.sh",
    ],
)
def test_no_slot(text: str) -> None:
    assert read_script(text, SET).slots == ()


def test_a_value_with_an_unknown_reference_is_kept_as_far_as_it_is_known() -> None:
    variables = {"VLLM_ARGS": "--host $(POD_IP) --port 1"}
    script = read_script("vllm serve m $(VLLM_ARGS)", variables)
    assert [(w.text, w.literal) for w in script.commands[0].words[3:]] == [
        ("--host", True),
        ("$(POD_IP)", False),
        ("--port", True),
        ("1", True),
    ]
    assert script.slots == (Slot("VLLM_ARGS", Quoting.SHELL),)


def test_names_that_carry_arguments() -> None:
    told = ["VLLM_ARGS", "VLLM_ADDITIONAL_ARGS", "EXTRA_ARGS", "ENGINE_OPTS", "MODEL_FLAGS"]
    assert all(carries_arguments(name) for name in told)
    others = [
        "PIP_ARGS",
        "RAY_ARGS",
        "LD_FLAGS",
        "ARGS",
        "VLLM_ARGS_FILE",
        "RAY_EXTRA_ARGS",
        "VLLM",
    ]
    assert not any(carries_arguments(name) for name in others)


def test_a_raw_slot_carries_no_blanks() -> None:
    raw, shell = Slot("A", Quoting.RAW), Slot("A", Quoting.SHELL)
    assert fill_slot(raw, "--x", "--y=a b") is None
    assert fill_slot(raw, " ", "--y") == "--y"
    assert fill_slot(shell, "--x", "--y=a b") == "--x '--y=a b'"


# --- Words of KV events ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vllm serve m --port 1", ()),
        ("vllm serve m --kv-events-config '{\"a\": 1}' --x", ("--kv-events-config", '{"a": 1}')),
        ("vllm serve m $CONFIG", ("--kv_events_config={}",)),
        ("./run --enable-kv-cache-events --x", ("--enable-kv-cache-events",)),
        ("if a; then vllm serve m --kv-events {}; fi", ("--kv-events", "{}")),
        ('eval "vllm serve m --kv-events-topic t"', ("--kv-events-topic", "t")),
        ("su app -c 'vllm serve m --kv-events {}'", ("--kv-events", "{}")),
        ("A='--kv-events-config {}'; vllm serve m $A", ("--kv-events-config", "{}")),
        ('A=(--kv-events-config "{ }"); vllm serve m "${A[@]}"', ("--kv-events-config", "{ }")),
        ("cat <<EOF\n--kv-events-config={}\nEOF", ("--kv-events-config={}",)),
        ("# --kv-events-config={}\nvllm serve m", ()),
        ("vllm serve m --kv-events-config={} )", ("--kv-events-config={}",)),
        ("--kv-events-config={} " + "x" * MAX_LENGTH, ("--kv-events-config={}",)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_words_that_configure_events(text: str, found: tuple[str, ...]) -> None:
    assert read_script(text, {"CONFIG": "--kv_events_config={}"}).event_words == found


# --- Insertion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["5", "a b", "it's", "$(MODEL)", "$$", "$HOME", "`x`", "", "é\n"])
@pytest.mark.parametrize("text", ["vllm serve m>log", "vllm serve m # c"])
def test_any_word_arrives_as_it_is(stage: Stage, text: str, word: str) -> None:
    (command,) = read_script(text, ENV).commands
    (line,) = stage.run("sh", insert_word(text, command, word), ENV)
    assert line == ["vllm", "serve", "m", word]


def test_a_slot_delivers_any_word(stage: Stage) -> None:
    slot = Slot("VLLM_ARGS", Quoting.SHELL)
    value = fill_slot(slot, "--x", "a $(MODEL) $$ 'b'") or ""
    variables = ENV | {"VLLM_ARGS": expand(value, ENV)}
    (line,) = stage.run("sh", "vllm serve m $(VLLM_ARGS)", variables)
    assert line == ["vllm", "serve", "m", "--x", "a $(MODEL) $$ 'b'"]


def test_a_quoted_word_is_the_shells() -> None:
    assert quote_word("--a") == "--a"
    assert quote_word("--a={}") == "'--a={}'"


# --- Whatever the text ----------------------------------------------------------------------------

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


# Kubernetes would take $( and $$ for its own, and no argument can hold a NUL.
ARGUMENTS = st.text(
    st.characters(exclude_characters="\0\1$\n", exclude_categories=["Cs"]), max_size=8
)
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
