"""Where `python3 -m vllm.entrypoints.openai.api_server` looks."""
