"""The door to a running engine's own HTTP port; everything it says is bounded and distrusted.

Belongs here: how to ask an engine over HTTP and read what it answers. How to tell: a test of it needs
an HTTP server. What the answers mean for a source is decided in ``core``.

``client`` asks (``EngineHTTP``), ``answers`` reads JSON answers, ``exposition`` takes single samples
out of ``/metrics``, ``counters`` and ``cache_size`` know what vLLM and SGLang call them.
"""
