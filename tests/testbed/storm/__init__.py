"""A stand-in for AIBrix's StormService and RoleSet controllers.

It makes RoleSets, pods and ControllerRevisions as the real ones do, replaces them on a change of
the template, and writes both statuses in the same sequence. :mod:`testbed.storm.install` puts it
beside a bed.

Where it differs on purpose: a selector counts in its own namespace only (the real one lists
RoleSets of all namespaces), ``Interleave`` rolls like ``Sequential``, roles with ``podGroupSize``
above 1 are refused (no PodSets), a paused rollout is not scaled in proportion, old
ControllerRevisions stay, and there are no Events.
"""
