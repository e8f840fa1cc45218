"""Measurements: figures of the probe beside others, in one run. Never a test: nothing here fails by time.

What was measured, and how to read it, stands in docs/benchmarks.md.
"""
