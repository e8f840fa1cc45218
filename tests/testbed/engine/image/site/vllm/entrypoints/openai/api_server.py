"""`python3 -m vllm.entrypoints.openai.api_server [flags]`."""

import sys

from testbed.engine.serve import run_api_server

if __name__ == "__main__":
    sys.exit(run_api_server(sys.argv[1:]))
