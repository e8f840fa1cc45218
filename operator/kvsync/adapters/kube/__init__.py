"""The door to the Kubernetes API: requests, watches and Events, in plain JSON.

Belongs here: how to reach an API server, ask it, follow it and tell it. How to tell: a test of it
needs an API server. What the answers mean for a model or a gateway is decided in ``core``.

``resource`` names kinds and builds paths, ``access`` finds and refreshes credentials, ``client``
asks (``Kube``), ``answer`` turns answers into values or errors, ``watch`` follows one kind
(``Watch``), ``events`` writes Kubernetes Events (``EventRecorder``), ``pace`` spaces attempts.
"""
