"""Those that are compared: each a process that hears the same publishers (``bench.contest``).

Here belongs what is measured. A contestant reads one line with its publishers, then answers each
further line with what it heard so far.
"""
