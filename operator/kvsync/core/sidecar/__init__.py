"""The relay in an engine's pod template: whether one is wanted, what is written, how it is found again.

``choice`` says whether; ``form`` writes the container, with ``resources``; ``pieces`` puts it into a
template, takes it out, and compares. All of it is a function of a template, a spec, and what is known
of the gateway, so that it serves a running cluster and a manifest alike. What the relay does itself is
in ``core.relay``.
"""
