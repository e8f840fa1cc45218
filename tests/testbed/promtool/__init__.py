"""Prometheus' own programs for the tests: promtool, and its parser of PromQL."""
