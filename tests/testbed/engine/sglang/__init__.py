"""The stand-in of SGLang: its command line, its HTTP answers and its KV events, release by release.

What an engine has in common with vLLM's stand-in (the publisher, the encoder, the core's turn, the
HTTP server) is taken from there; here is what differs.
"""
