"""A real vLLM as a container image of the bed: no GPU, a tiny model, and the release's own code.

Dear (8 GB, minutes), so nothing installs it unless it is asked for: ``make conformance`` and
``make demo ENGINE=vllm``.
"""
