"""Variables that a script hands on: the engine gets what is put into them, once."""

import pytest

from core.script.stage import WORD, Stage
from kvsync.core.script.model import Quoting, Slot
from kvsync.core.script.read import read_script
from kvsync.core.script.slots import carries_arguments
from kvsync.core.script.write import fill_slot
from testbed.kubelet.expansion import expand

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
