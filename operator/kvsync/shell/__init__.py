"""The operator's running process: watches, queue, reconcile, probes, settings, server.

Belongs here: when things happen. The story stands in ``reconcile``: observe, decide,
carry out, report. What is decided stands in ``kvsync.core``.
"""
