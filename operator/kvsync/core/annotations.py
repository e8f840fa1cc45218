"""How much an object's annotations may hold: the API server refuses a write that goes beyond."""

from __future__ import annotations

from kvsync.model.workload import Deployment

LARGEST_ANNOTATIONS = 256 * 1024
"""Bytes of all annotations of an object (Kubernetes, ``TotalAnnotationSizeLimitB``)."""


def beyond_limit(target: Deployment) -> int:
    """The bytes of its annotations where they are more than the API server takes, else 0."""
    size = sum(len(f"{key}{value}".encode()) for key, value in target.annotations.items())
    return size if size > LARGEST_ANNOTATIONS else 0
