"""Texts nested in a script are read too."""

from core.script.stage import ENV, words_of
from kvsync.core.script.read import read_script


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
