"""A kubelet whose containers are plain local processes.

Here belongs what turns pods that the scheduler placed into processes and tells the API server the
truth about them. What decides (expansion, environment, mounts, status) does no I/O; what
does the I/O (process, volumes, logs, probes, network) decides little.
"""
