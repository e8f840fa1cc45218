"""`make bench-converge`: from unconfigured models to verified ones, all at once.

The operator, beside a bare loop that sends the same patches and nothing else, and beside what a person
does by kubectl, one model after the other. Each finds a cluster of its own that is the same.
"""

import argparse
import json
import os
import resource
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contestants.bare_patches import AT_ONCE
from bench.goals import at_least, at_most, growth
from bench.operating import ACCOUNT, Operator
from bench.report import Page, Plot, write
from bench.stock import EACH, select
from bench.unconfigured import PODS, WITHIN, Cost, Scene, unconfigured
from core.objects import EVENTS_LABEL
from testbed.api import Object
from testbed.partner import Partner
from testbed.waiting import wait_for
from testbed.watching import cpu_seconds

SIZES = (10, 50, 200)
"""Models."""
LOADING = 5.0
"""Seconds that a pod loads in the last case, of the largest size."""
SAMPLE = 5
"""Models that are done by kubectl; the cost of all is that of as many more."""
GOAL_CPU, GOAL_FASTER = 2.0, 10.0
OURS, BARE, WAITING, BY_HAND = "kvsync", "bare loop", "loop that waits", "kubectl"

TOLD = f"""
Deployments of {PODS} pods each, {EACH} a namespace, from unconfigured to verified: each has its new settings,
its pods were replaced, and the operator looked at every source. One object a namespace selects them, with
`maxConcurrent: {EACH}` and `--max-rolling 0`, so that all of them go at once. API server, etcd and
controllers are real. Of pods there is only the status, which one process writes; another one answers at all
their addresses. Pods are Ready at once, and in the last case after {LOADING:g} s, still far less than an
engine takes: by hand that is waited for at each model, by the operator once.

The bare loop sends the same JSON patches, {AT_ONCE} at a time, and is done when the last one was answered. A
loop that waits also watches Deployments and pods, and is done when all are rolled out: what it costs only
to notice. By hand: `kubectl label`, `kubectl patch` (arguments, ports, environment, labels of the pods) and
`kubectl rollout status` for {SAMPLE} models, one after the other; from these the cost of all is computed.
Neither looks at any source. CPU is from the moment at which the objects are created or the first patch is
sent: what starts cost is [another page](start.md)."""

Case = tuple[int, float]
"""Models, and the seconds for which each pod loads."""


def by_the_operator(scene: Scene) -> Cost:
    """Objects are created; done when each of them says that all its sources are verified."""
    api, stock = scene.plane.api, scene.stock
    with Operator(scene.plane, scene.plane.server, ["--max-rolling", "0"]) as operator:
        operator.wait_until_watching()

        def all_are_verified() -> bool:
            operator.log()
            return all(is_verified(body) for body in api.list("kveventsyncs"))

        def work() -> None:
            select(scene.plane, stock, **scene.spec)
            wait_for(all_are_verified, WITHIN, what="all sources to be verified", pause=0.2)

        return scene.measure(stock.ours, work, lambda: sum(operator.cpu()))


def is_verified(body: Object) -> bool:
    """Whether an object says that all its models are done, and all their sources verified."""
    status: Any = body.get("status") or {}
    whole = f"{EACH * PODS}/{EACH * PODS}"
    return bool(status.get("modelsReady") == EACH and status["summary"]["sources"] == whole)


def by_a_bare_loop(scene: Scene) -> Cost:
    """Done when the last patch was answered."""
    return _by("bench.contestants.bare_patches", scene)


def by_a_loop_that_waits(scene: Scene) -> Cost:
    """Done when it knows that all are rolled out."""
    return _by("bench.contestants.watched_patches", scene)


def _by(contestant: str, scene: Scene) -> Cost:
    config = scene.plane.kubeconfig_for_service_account("default", ACCOUNT)
    loop = Partner(contestant, config)
    try:
        loop.say(json.dumps(scene.patches()))
        loop.hear()

        def work() -> None:
            loop.say("go")
            loop.hear()

        return scene.measure(scene.stock.ours, work, lambda: cpu_seconds(loop.pid))
    finally:
        loop.end()


def by_kubectl(scene: Scene) -> Cost:
    """A few of them; so many times as much for all."""
    some = scene.places[:SAMPLE]

    def work() -> None:
        for namespace, name in some:
            configure(scene, namespace, name)

    return scene.measure(len(some), work, children_cpu).times(scene.stock.ours / len(some))


def configure(scene: Scene, namespace: str, name: str) -> None:
    """What a person writes for one model, and how they wait."""
    ports = scene.ports
    config = {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": f"tcp://*:{ports.events}",
        "replay_endpoint": f"tcp://*:{ports.replay}",
    }
    container = {
        "name": "vllm",
        "args": [f"--kv-events-config={json.dumps(config)}"],
        "ports": [{"containerPort": port} for port in (ports.events, ports.replay)],
        "env": [{"name": "PYTHONHASHSEED", "value": "0"}],
    }
    template = {"metadata": {"labels": {EVENTS_LABEL: "true"}}, "spec": {"containers": [container]}}
    what = ("deployment", name, "-n", namespace)
    kubectl = scene.plane.api.kubectl
    kubectl("label", *what, f"{EVENTS_LABEL}=true")
    kubectl("patch", *what, "-p", json.dumps({"spec": {"template": template}}))
    kubectl("rollout", "status", *what, f"--timeout={WITHIN:.0f}s", timeout=WITHIN)


def children_cpu() -> float:
    """Seconds of CPU of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


WAYS = {
    OURS: by_the_operator,
    BARE: by_a_bare_loop,
    WAITING: by_a_loop_that_waits,
    BY_HAND: by_kubectl,
}
SLOW_WAYS = (OURS, BY_HAND)
"""Whose time hangs on how long a pod loads."""
Found = Mapping[Case, Mapping[str, Cost]]


def measure(case: Case) -> dict[str, Cost]:
    """What each contestant takes."""
    found = {}
    for name in SLOW_WAYS if case[1] else WAYS:
        with unconfigured(*case) as scene:
            found[name] = WAYS[name](scene)
        print(f"{case[0]:5} models, loading {case[1]:g} s, {name:10} {found[name]}", flush=True)
    return found


def page(found: Found, loads: Sequence[float]) -> Page:
    """What is told of it."""
    columns = (
        "models",
        "pods load",
        "",
        "done after",
        "its CPU",
        "rolled out after",
        "CPU of the control plane",
    )
    rows = [row(case, name, cost) for case, costs in found.items() for name, cost in costs.items()]
    sizes = {case[0]: costs for case, costs in found.items() if not case[1]}
    plots = [
        Plot(
            "models",
            "until done, s",
            {n: [(m, c[n].seconds) for m, c in sizes.items()] for n in WAYS},
        ),
        Plot(
            "models", "its own CPU, s", {n: [(m, c[n].cpu) for m, c in sizes.items()] for n in WAYS}
        ),
    ]
    title = "From unconfigured to verified"
    return Page("converge", title, TOLD, columns, rows, plots, remarks(found), loads)


def row(case: Case, name: str, cost: Cost) -> list[str]:
    """A contestant's line."""
    models, loading = case
    figures = (cost.seconds, cost.cpu, cost.rolled_out, cost.plane)
    return [f"{models:,}", f"{loading:g} s", name, *(f"{figure:.2f} s" for figure in figures)]


def remarks(found: Found) -> list[str]:
    """Goals and growth."""
    told = [
        _told_of_goals(case, costs) for case, costs in found.items() if case[0] == max(found)[0]
    ]
    grows = [(case[0], costs[OURS].cpu) for case, costs in found.items() if not case[1]]
    return [*told, growth("The operator's CPU", grows)] if len(grows) > 2 else told


def _told_of_goals(case: Case, costs: Mapping[str, Cost]) -> str:
    ours = costs[OURS]
    faster = costs[BY_HAND].seconds / ours.seconds
    told = (
        f"{case[0]:,} models that load {case[1]:g} s: {faster:.1f} times as fast as by hand (goal "
        f"{GOAL_FASTER:g}, {at_least(faster, GOAL_FASTER)})."
    )
    if BARE not in costs:
        return told
    used, waiting = ours.cpu / costs[BARE].cpu, ours.cpu / costs[WAITING].cpu
    return (
        f"{told} The operator's own CPU is {used:.0f} times that of the bare loop (goal {GOAL_CPU:g} at "
        f"most, {at_most(used, GOAL_CPU)}), and {waiting:.1f} times that of the loop that waits."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.converge", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 10")
    parser.add_argument(
        "--loading", type=float, default=LOADING, help="seconds, in the last case; 0: no such case"
    )
    options = parser.parse_args()
    before = os.getloadavg()[0]
    cases = [(size, 0.0) for size in options.sizes]
    if options.loading:
        cases.append((max(options.sizes), options.loading))
    found = {case: measure(case) for case in cases}
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
