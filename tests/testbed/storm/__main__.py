"""``python -m testbed.storm``: say ``ready`` and be both controllers until SIGTERM."""

import argparse
import logging
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import urllib3

from testbed.api import Api, ApiError
from testbed.storm import rolesets, services
from testbed.storm.names import REVISIONS, ROLE_SET_NAME, ROLE_SETS, STORM_SERVICES
from testbed.storm.objects import Object, labels_of, name_of, namespace_of, of_namespace

PERIOD = 0.3  # seconds between two looks at everything
AGENT = "testbed-storm"

_log = logging.getLogger("storm")


def one_pass(api: Api) -> None:
    """Look at everything once, then act on what was seen, StormServices first.

    So a StormService that gave its RoleSets a new template next sees them with the status of the
    old one, and a pass later with the true one. The real controllers race for it; this is the
    outcome that misleads.
    """
    stormy = api.list(STORM_SERVICES)
    role_sets = api.list(ROLE_SETS)
    revisions = api.list(REVISIONS) if stormy else []
    pods = _by_role_set(api.list("pods", labels=ROLE_SET_NAME)) if role_sets else {}
    for service in stormy:
        namespace = namespace_of(service)
        near = of_namespace(role_sets, namespace)
        _guarded(
            service, services.reconcile, api, service, near, of_namespace(revisions, namespace)
        )
    for role_set in role_sets:
        own = pods.get((namespace_of(role_set), name_of(role_set)), [])
        _guarded(role_set, rolesets.reconcile, api, role_set, own)


def _by_role_set(pods: list[Object]) -> dict[tuple[str, str], list[Object]]:
    found = defaultdict(list)
    for pod in pods:
        found[namespace_of(pod), labels_of(pod)[ROLE_SET_NAME]].append(pod)
    return found


def _guarded(body: Object, reconcile: Callable[..., None], *args: object) -> None:
    """One object's trouble is told and tried again at the next pass; a conflict is one, too."""
    try:
        reconcile(*args)
    except ApiError as error:
        _log.warning("%s %s/%s: %s", body["kind"], namespace_of(body), name_of(body), error)


def run(api: Api, stop: threading.Event) -> None:
    """Pass after pass until ``stop``; an API server that is away is waited for."""
    while not stop.wait(PERIOD):
        try:
            one_pass(api)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            _log.warning("%s", error)


def main() -> int:
    """Run until SIGTERM; exit status 0 then."""
    parser = argparse.ArgumentParser(prog="python -m testbed.storm", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    api = Api(options.kubeconfig, user_agent=AGENT)
    one_pass(api)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run(api, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
