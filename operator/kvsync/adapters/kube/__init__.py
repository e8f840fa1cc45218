"""The door to the Kubernetes API: requests, watches and Events, in plain JSON.

Belongs here: how to reach an API server, ask it, follow it and tell it. How to tell: a test of it
needs an API server. What the answers mean for a model or a gateway is decided in ``core``.

``resource`` names kinds and builds paths, ``access`` finds and refreshes credentials, ``transport``
sends a request, ``answer`` turns what comes back into values or errors, ``client`` has the verbs
(``Kube``), ``watch`` follows one kind (``Watch``, made of ``follow``: list and watch, and
``mirror``: what is known), ``events`` writes Kubernetes Events (``EventRecorder``), ``pace`` spaces
attempts.
"""
