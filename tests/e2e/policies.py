"""The admission policy of mode Admission, for one test's namespace alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from e2e.scene import Scene

POLICY = Path(__file__).resolve().parents[2] / "docs" / "samples" / "install" / "admission.yaml"


@contextmanager
def policy_for(scene: Scene) -> Iterator[None]:
    """Installed as long as the block runs, and for nobody else's pods."""
    policy, binding = yaml.safe_load_all(POLICY.read_text())
    name = f"inject-{scene.namespace}"
    for body in (policy, binding):
        body["metadata"]["name"] = name
    binding["spec"]["policyName"] = name
    here = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    policy["spec"]["matchConstraints"]["namespaceSelector"] = here
    scene.api.create_all([policy, binding])
    try:
        yield
    finally:
        for body in (binding, policy):
            scene.api.delete(body["kind"], name)
