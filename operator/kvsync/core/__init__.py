"""Decisions, pure: data in, data out.

Belongs here: what to change, what is true, what to say. How to tell: it could be
answered by a person with a pencil and the inputs. No input or output, no clock
(``now`` is an argument), no randomness, no async, no logging: tests/test_purity.py keeps it so.
"""
