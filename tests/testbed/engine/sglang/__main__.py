"""``python -m testbed.engine.sglang serve …``: the ``sglang`` program of the stand-in's image."""

import sys

from testbed.engine.sglang.serve import run_sglang

sys.exit(run_sglang(sys.argv[1:]))
