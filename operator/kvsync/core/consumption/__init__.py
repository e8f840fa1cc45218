"""Whether a gateway can use what the engines publish: what it reads, what it meets, rule by rule.

``settings`` is what a gateway reads of its environment, ``gateway`` the one in use, ``subject`` a source
as a gateway meets it; ``gateway_rules`` and ``rules`` are what may keep the events from being used, and
``wording`` tells it. The door is ``core.compatibility``.
"""
