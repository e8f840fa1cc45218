"""A KV event configuration that a vLLM command line carries already: read it, merge ours into it.

Words are taken as vLLM's ``FlexibleArgumentParser`` takes them (``vllm/utils/argparse_utils.py``),
values as pydantic takes them for ``KVEventsConfig`` (``vllm/config/kv_events.py``; lax, unknown keys
refused). The parser takes dotted arguments out first and appends them as JSON at the end, where they
win over JSON that was given: it is dropped without a word. Here both count, as their owner meant.

``read`` and ``merge`` are the doors, ``model`` is what goes through them. ``read`` stands on
``arguments`` and ``values``, ``merge`` on ``rules``, all of them on ``keys``.
"""
