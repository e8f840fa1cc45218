"""The name `vllm` inside the engine stand-in's image; what it does is in testbed.engine."""
