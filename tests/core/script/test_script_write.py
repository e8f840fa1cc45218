"""One more word in a script or a slot: the program gets it as it is, and nothing else changes."""

import pytest

from core.script.stage import ENV, WORD, Stage
from kvsync.core.script.model import Quoting, Slot
from kvsync.core.script.read import read_script
from kvsync.core.script.write import fill_slot, insert_word, quote_word
from testbed.kubelet.expansion import expand

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


def test_a_raw_slot_carries_no_blanks() -> None:
    raw, shell = Slot("A", Quoting.RAW), Slot("A", Quoting.SHELL)
    assert fill_slot(raw, "--x", "--y=a b") is None
    assert fill_slot(raw, " ", "--y") == "--y"
    assert fill_slot(shell, "--x", "--y=a b") == "--x '--y=a b'"


def test_a_quoted_word_is_the_shells() -> None:
    assert quote_word("--a") == "--a"
    assert quote_word("--a={}") == "'--a={}'"
