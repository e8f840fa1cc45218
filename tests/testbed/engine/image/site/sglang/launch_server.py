"""`python3 -m sglang.launch_server [flags]`."""

import sys

from testbed.engine.sglang.serve import run_launch_server

if __name__ == "__main__":
    sys.exit(run_launch_server(sys.argv[1:]))
