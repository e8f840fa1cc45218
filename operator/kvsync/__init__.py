"""kvsync: turns on, verifies and undoes KV event synchronization of vLLM models behind AIBrix."""
