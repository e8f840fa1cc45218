"""The slot in a script: real shells hand its value on as one word, neutral and filled."""

import pytest

from core.script.stage import WORD, Stage
from kvsync.core.script.model import Quoting
from kvsync.core.script.read import read_script
from kvsync.core.script.write import fill_slot
from kvsync.core.slot import SLOT_VARIABLE
from testbed.kubelet.expansion import expand

OFF = "--kv-events-config={}"
SET = {SLOT_VARIABLE: OFF, "VLLM_ARGS": "--seed 1"}

HANDED_ON: dict[str, Quoting] = {
    'exec vllm serve m "${KVSYNC_KV_EVENTS}" --port 1': Quoting.RAW,
    'vllm serve m "$KVSYNC_KV_EVENTS" 2>&1 | tee /dev/null': Quoting.RAW,
    "vllm serve m $KVSYNC_KV_EVENTS": Quoting.RAW,
    "vllm serve m $KVSYNC_KV_EVENTS $VLLM_ARGS": Quoting.RAW,
    "vllm serve m $(KVSYNC_KV_EVENTS)": Quoting.SHELL,
    'eval "vllm serve m $KVSYNC_KV_EVENTS"': Quoting.SHELL,
    'if true; then vllm serve a "$KVSYNC_KV_EVENTS"; else vllm serve b "$KVSYNC_KV_EVENTS"; fi': (
        Quoting.RAW
    ),
    'for i in 1; do vllm serve m "$KVSYNC_KV_EVENTS"; done': Quoting.RAW,
    "sh -c 'exec vllm serve m \"$KVSYNC_KV_EVENTS\"'": Quoting.RAW,
}


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(("text", "quoting"), HANDED_ON.items())
def test_its_value_is_one_word_to_the_engine(
    stage: Stage, text: str, quoting: Quoting, shell: str
) -> None:
    slot = next(each for each in read_script(text, SET).slots if each.name == SLOT_VARIABLE)
    assert slot.quoting is quoting
    filled = fill_slot(slot, "", WORD)
    assert filled is not None
    neutral = stage.run(shell, text, SET)
    after = stage.run(shell, text, SET | {SLOT_VARIABLE: expand(filled, SET)})
    assert neutral
    assert [line.count(OFF) for line in neutral] == [1] * len(neutral)
    assert after == [[WORD if word == OFF else word for word in line] for line in neutral]


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve m '$KVSYNC_KV_EVENTS'",
        'vllm serve m "--x=$KVSYNC_KV_EVENTS"',
        'vllm serve m "$KVSYNC_KV_EVENTS$VLLM_ARGS"',
        'vllm serve m -- "$KVSYNC_KV_EVENTS"',
        'vllm serve m "$KVSYNC_KV_EVENTS" "$KVSYNC_KV_EVENTS"',
        'vllm serve a "$KVSYNC_KV_EVENTS"; vllm serve b',
        'echo "$KVSYNC_KV_EVENTS"; vllm serve m',
        "KVSYNC_KV_EVENTS=x; vllm serve m $KVSYNC_KV_EVENTS",
        "unset KVSYNC_KV_EVENTS; vllm serve m $KVSYNC_KV_EVENTS",
        "vllm serve m # $KVSYNC_KV_EVENTS",
        'vllm serve m "${KVSYNC_KV_EVENTS%x}"',
        'vllm serve m "$KVSYNC_KV_EVENTS_TOO"',
        "set -f; IFS=,; vllm serve m $KVSYNC_KV_EVENTS",
    ],
)
def test_what_does_not_hand_it_on_as_it_is(text: str) -> None:
    names = [slot.name for slot in read_script(text, SET).slots]
    assert SLOT_VARIABLE not in names


def test_among_many_variables_it_is_looked_at_first() -> None:
    others = " ".join(f"$VLLM_{number}_ARGS" for number in range(20))
    text = f'vllm serve m {others} "$KVSYNC_KV_EVENTS"'
    assert SLOT_VARIABLE in [slot.name for slot in read_script(text, SET).slots]
