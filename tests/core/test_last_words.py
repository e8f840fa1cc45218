"""The one line that tells why an engine ended, out of what engines really print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.last_words import MAX_QUOTE, quoted, telling_line

# vLLM 0.16.0 and 0.32.0, started with the flags of the AIBrix text.
REFUSED = """\
INFO 11-26 10:00:00 [__init__.py:216] Automatically detected platform cpu.
usage: vllm serve [model_tag] [options]
vllm serve: error: unrecognized arguments: --enable-kv-cache-events --kv-events-topic x
"""

# vLLM, whose engine core cannot bind (facts of a real 0.32.0; the API server tells of it last).
CORE_FAILED = """\
(EngineCore_DP0 pid=431) ERROR 11-26 10:00:03 [core.py:700] EngineCore failed to start.
(EngineCore_DP0 pid=431) ERROR 11-26 10:00:03 [core.py:700] Traceback (most recent call last):
(EngineCore_DP0 pid=431) ERROR 11-26 10:00:03 [core.py:700]   File "core.py", line 691, in run
(EngineCore_DP0 pid=431) ERROR 11-26 10:00:03 [core.py:700] zmq.error.ZMQError: Address already \
in use (addr='tcp://*:5558')
(APIServer pid=17) Traceback (most recent call last):
(APIServer pid=17)   File "/usr/local/bin/vllm", line 10, in <module>
(APIServer pid=17)     sys.exit(main())
(APIServer pid=17) RuntimeError: Engine core initialization failed. See root cause above. Failed \
core proc(s): {'EngineCore_DP0': 1}
"""

PYDANTIC = """\
Traceback (most recent call last):
  File "/usr/local/bin/vllm", line 10, in <module>
pydantic_core._pydantic_core.ValidationError: 1 validation error for KVEventsConfig
topics
  Unexpected keyword argument [type=unexpected_keyword_argument]
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            REFUSED,
            "vllm serve: error: unrecognized arguments: --enable-kv-cache-events "
            "--kv-events-topic x",
        ),
        (
            "launch_server.py: error: unrecognized arguments: --kv-events-config={}\n",
            "launch_server.py: error: unrecognized arguments: --kv-events-config={}",
        ),
        (CORE_FAILED, "zmq.error.ZMQError: Address already in use (addr='tcp://*:5558')"),
        (
            PYDANTIC,
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for KVEventsConfig",
        ),
        (
            "RuntimeError: Engine core initialization failed. See root cause above.\nbye\n",
            "RuntimeError: Engine core initialization failed. See root cause above.",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n[rank0] end\n",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        ),
        (
            "vllm: error while loading shared libraries: libcuda.so.1\nshutting down\n",
            "vllm: error while loading shared libraries: libcuda.so.1",
        ),
        ("\x1b[31mSegmentation fault\x1b[0m (core dumped)\n\n", "Segmentation fault (core dumped)"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("", ""),
        ("\n \n\x00\n", ""),
    ],
)
def test_the_line_that_tells(text: str, line: str) -> None:
    assert telling_line(text) == line


def test_a_request_is_not_quoted_and_no_token_ids() -> None:
    log = (
        "ready\n"
        "Received request cmpl-1: prompt: 'my secret diary', prompt_token_ids: [1, 2, 3, 4, 5]\n"
    )
    assert telling_line(log) == "ready"
    assert telling_line("ValueError: bad block [11, 22, 33, 44, 55]") == "ValueError: bad block […]"
    assert telling_line("ValueError: bad block [11, 22, 33, 44, 5") == "ValueError: bad block […]"


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve: error: unrecognized arguments: --api-key sk-12345 --x",
        "ValueError: {'api_key': 'sk-12345'}",
        "RuntimeError: HF_TOKEN=sk-12345 is not valid",
    ],
)
def test_a_key_is_not_quoted(text: str) -> None:
    assert "sk-12345" not in telling_line(text)
    assert "…" in telling_line(text)


def test_megabytes_are_no_more_than_one_short_line() -> None:
    assert len(telling_line("x" * 5_000_000)) <= MAX_QUOTE
    assert telling_line("noise\n" * 1_000_000 + "ValueError: here\n") == "ValueError: here"
    assert len(telling_line("ValueError: " + "[1, " * 1_000_000)) <= MAX_QUOTE


@given(st.text() | st.text("[]0123456789, Eror:\n \x1b("))
def test_whatever_it_says_one_printable_bounded_line_comes_of_it(text: str) -> None:
    for line in (telling_line(text), quoted(text)):
        assert len(line) <= MAX_QUOTE
        assert line.isprintable()
        assert line == line.strip()
