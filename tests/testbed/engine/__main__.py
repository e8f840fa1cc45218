"""``python -m testbed.engine serve MODEL [flags]``: the ``vllm`` program of the stand-in's image."""

import sys

from testbed.engine.serve import run_entrypoint, run_vllm

arguments = sys.argv[1:]
if arguments[:1] == ["--image-entrypoint"]:
    sys.exit(run_entrypoint(arguments[1:]))
sys.exit(run_vllm(arguments))
