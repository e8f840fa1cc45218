"""Gathering what ``kvsync doctor`` judges: each part is read, or it is said why it could not be.

Nothing here raises for what the cluster does: a failure is a fact. The judgement: ``kvsync.core.doctor``.
"""
