"""The probe: what watches the publishers, in this process (``subscriber``) or in others (``pool``).

Here belongs what is asked of sources, when, and what is noted of them. What a connection says stands
in ``adapters.zmtp``; what the notes mean is decided in ``core.judge``.
"""
