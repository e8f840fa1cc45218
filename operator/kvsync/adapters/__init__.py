"""One door each to the outside: the Kubernetes API, ZMQ sockets, an engine's HTTP port, files.

Belongs here: code that waits on something outside this process and turns it into
values of ``kvsync.model``. How to tell: a test of it needs a real counterpart. It decides nothing.
"""
