"""The sidecar's process: sockets, clock and signals around ``core/relay``.

Here belongs what runs beside an engine in its pod. It knows no Kubernetes.
"""
