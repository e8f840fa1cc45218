"""Which entries stand in status.injections: as long as any pod may ask for them, and no longer."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.admission_rules import admitted, pod_of_template
from core.objects import Json, ask, container, deployment, spec_of
from core.scenes import NOW, condition, decided, model, observe, rolled_out, sync_of, verdict_on
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Outcome
from kvsync.core.publication import LEAD, MAX_SIZE, publication_of, wait_for, within_bounds
from kvsync.core.summary import MAX_MODELS
from kvsync.model.injection import MAX_INJECTIONS, Injection
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.record import OWNER_ANNOTATION, Owner
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment, Pod
from model.storms import role, storm

SPEC = spec_of(mode="Admission")


def restarted(body: Json | None = None, **fields: Any) -> tuple[Json, Injection]:
    """A Deployment as our change leaves it, and its entry as published long ago."""
    body = body or deployment()
    made = plan(Deployment(body), ask(spec_of(mode="Admission", **fields), at=9_000))
    assert made.injection is not None
    return rolled_out(apply(body, made.patch)), replace(made.injection, since=8_990)


def pod(body: Json, *entries: Injection, name: str = "model-0") -> Pod:
    made = admitted(pod_of_template(body), [each.entry() for each in entries])
    made["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
    ready = {"type": "Ready", "status": "True"}
    made["status"] = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready]}
    return Pod(made)


def picture(*models: ObservedModel, told: Sequence[Injection] = (), **more: Any) -> Observed:
    status = {"injections": [each.entry() for each in told]}
    return observe(*models, spec=SPEC, sync=sync_of(status=status, **more))


def tokens(observed: Observed) -> list[str]:
    return [each.token for each in publication_of(observed).injections]


def test_what_a_record_tells_of_stands_with_its_time() -> None:
    body, entry = restarted()
    found = publication_of(picture(model(body), told=[entry]))
    assert found.injections == (entry,)
    assert not found.lost


def test_what_is_not_told_is_lost_and_comes_back_as_new() -> None:
    body, entry = restarted()
    found = publication_of(picture(model(body)))
    assert found.injections == (replace(entry, since=int(NOW)),)
    assert found.lost


def test_what_somebody_edited_is_lost_too() -> None:
    body, entry = restarted()
    found = publication_of(picture(model(body), told=[replace(entry, args=("--else",))]))
    assert found.injections == (replace(entry, since=int(NOW)),)
    assert found.lost


def test_of_a_record_whose_token_nobody_names_there_is_no_entry() -> None:
    body, entry = restarted()
    taken = copy.deepcopy(body)
    del taken["spec"]["template"]["metadata"]["annotations"]
    assert tokens(picture(model(taken), told=[entry])) == []
    living = pod(body, entry)
    assert tokens(picture(model(taken, living), told=[entry])) == [entry.token]
    assert tokens(picture(model(taken, living))) == [entry.token], "the record suffices"


def test_an_entry_stays_while_pods_of_an_older_revision_live() -> None:
    body, old = restarted()
    newer, entry = restarted(events={"topic": "t"})
    living = pod(body, old)
    found = picture(model(newer, living, pod(newer, entry, name="model-1")), told=[old, entry])
    assert tokens(found) == sorted([old.token, entry.token])
    ended = copy.deepcopy(dict(living.body))
    ended["status"]["phase"] = "Failed"
    assert tokens(picture(model(newer, Pod(ended)), told=[old, entry])) == [entry.token]


def test_what_is_anothers_is_not_published() -> None:
    body, entry = restarted()
    annotations = {**body["metadata"]["annotations"]}
    annotations[OWNER_ANNOTATION] = str(Owner("default", "other", "uid-of-other"))
    others = {**body, "metadata": {**body["metadata"], "annotations": annotations}}
    assert tokens(picture(model(others, pod(body, entry)), told=[entry])) == []


def test_entries_of_models_that_are_gone_go() -> None:
    _, entry = restarted()
    assert tokens(picture(told=[entry])) == []
    assert tokens(picture(model(None, name="model"), told=[entry])) == []


def view(entry: Injection | None, state: ModelState = ModelState.PENDING) -> ModelView:
    body, _ = restarted()
    planned = replace(plan(Deployment(body), ask(SPEC)), injection=entry)
    return ModelView("model", state, "", "", deployment=Deployment(body), plan=planned)


def test_a_model_waits_until_its_entry_was_published_for_a_while() -> None:
    _, entry = restarted()
    now = 9_000.0
    wait = [
        wait_for(view(entry), publication_of(picture(told=told)), now)
        for told in (
            [],
            [replace(entry, since=9_000)],
            [replace(entry, since=8_999)],
            [replace(entry, since=int(9_000 - LEAD))],
            [replace(entry, since=9_999)],
            [replace(entry, args=("--else",))],
        )
    ]
    assert wait == [LEAD, LEAD, LEAD - 1, None, LEAD, LEAD]
    assert wait_for(view(None), publication_of(picture()), now) is None


def test_a_clock_that_was_set_back_holds_a_model_no_longer_than_a_new_entry() -> None:
    body, entry = restarted()
    ahead = replace(entry, since=int(NOW) + 3_600)
    again = publication_of(picture(model(body), told=[ahead])).injections
    assert again == (replace(entry, since=int(NOW)),)
    published = publication_of(picture(model(body), told=again))
    assert published.injections == again
    assert wait_for(view(entry), published, NOW + LEAD) is None


def test_models_beyond_the_bounds_are_held_back_with_the_way_out() -> None:
    _, entry = restarted()
    views = [view(replace(entry, workload=f"m{number}")) for number in range(MAX_INJECTIONS + 2)]
    found = within_bounds(picture(), views)
    assert [each.state for each in found].count(ModelState.PENDING) == MAX_INJECTIONS
    assert found[-1].reason == "InjectionsFull"
    assert "second KVEventSync" in found[-1].message
    large = [
        view(replace(entry, workload=f"m{number}", args=("x" * 8_000,) * 10)) for number in range(9)
    ]
    kept = [e for e in within_bounds(picture(), large) if e.state is ModelState.PENDING]
    assert len(kept) == MAX_SIZE // 81_000


def test_models_that_stand_keep_their_room() -> None:
    body, entry = restarted()
    others = [view(replace(entry, workload=f"m{number}")) for number in range(MAX_INJECTIONS)]
    found = within_bounds(picture(model(body), told=[entry]), [*others, view(entry)])
    assert [each.state for each in found].count(ModelState.REFUSED) == 1
    assert found[-1].state is ModelState.PENDING


def test_a_lost_status_is_written_before_anything_else_is_done() -> None:
    body, entry = restarted()
    living = pod(body, entry)
    before = decided(
        model(body, living),
        model(deployment(name="other")),
        spec=SPEC,
        verdicts=[verdict_on(living)],
    )
    assert before.actions == ()
    assert before.status is not None
    assert [e["workload"] for e in before.status["injections"]] == ["model", "other"]
    assert before.look_again is not None
    assert before.look_again < 1


def test_a_storm_service_is_refused() -> None:
    found = plan(StormService(storm(role("decode"))), ask(SPEC)).refusal
    assert found is not None
    assert (found.reason, "Patch or Render" in found.remedy) == ("Unsupported", True)


def test_a_label_switched_off_is_refused() -> None:
    body = deployment()
    labels = body["spec"]["template"]["metadata"]["labels"]
    labels["model.aibrix.ai/kv-events-enabled"] = "false"
    status = decided(model(body), spec=SPEC).status
    assert condition(status, "ModelsConfigured") == ("False", "Unsupported")
    assert status is not None
    assert "never changed at admission" in status["models"][0]["message"]


def test_a_relay_beside_a_pod_that_has_resources_as_a_whole_is_refused() -> None:
    body = deployment(container(), resources={"limits": {"cpu": "8"}})
    spec = spec_of(mode="Admission", events={"relay": {"mode": "Always"}})
    refused = plan(Deployment(body), ask(spec)).refusal
    assert refused is not None
    assert "spec.resources" in refused.message
    assert plan(Deployment(body), ask(SPEC)).refusal is None


def test_a_command_line_that_no_status_holds_is_refused() -> None:
    own = '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq"}'
    args = ["serve", "tiny", own, "--chat-template", "x" * 70_000]
    body = deployment(container(command=["vllm"], args=args))
    refused = plan(Deployment(body), ask(SPEC)).refusal
    assert refused is not None
    assert refused.reason == "RecordTooLarge"


def test_a_deployment_that_another_controller_makes_is_no_obstacle() -> None:
    body = deployment()
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "a/v1", "kind": "Model", "name": "m", "uid": "u", "controller": True}
    ]
    assert plan(Deployment(body), ask(SPEC)).refusal is None
    assert plan(Deployment(body), ask()).refusal is not None


def test_whoever_owns_the_arguments_server_side_is_no_obstacle() -> None:
    body = deployment(container(args=["serve", "tiny"], command=["vllm"]))
    item: Json = {'k:{"name":"vllm"}': {"f:args": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": item}}}}
    body["metadata"]["managedFields"] = [
        {
            "manager": "helm",
            "operation": "Apply",
            "time": "2026-01-01T00:00:00Z",
            "fieldsV1": fields,
        }
    ]
    made = plan(Deployment(body), ask(SPEC))
    assert made.refusal is None
    assert made.claims == ()
    patched = plan(Deployment(body), ask()).refusal
    assert patched is not None
    assert patched.reason == "ArgsOwned"


def test_settings_that_the_owner_writes_himself_by_now_end_the_injection() -> None:
    body, _ = restarted()
    made = plan(Deployment(deployment()), ask(spec_of()))
    own = apply(deployment(), made.patch)["spec"]["template"]
    annotations = body["spec"]["template"]["metadata"]["annotations"]
    template = {**own, "metadata": {**own["metadata"], "annotations": annotations}}
    live = {**body, "spec": {**body["spec"], "template": template}}
    found = plan(Deployment(live), ask(SPEC))
    after = apply(live, found.patch)
    assert after["spec"]["template"] == own
    assert "annotations" not in after["metadata"] or not after["metadata"]["annotations"]
    assert plan(Deployment(after), ask(SPEC)).patch == ()


def test_settings_that_were_rendered_for_git_stay_as_they_are() -> None:
    rendered = apply(deployment(), plan(Deployment(deployment()), ask(at=0)).patch)
    made = plan(Deployment(rendered), ask(SPEC))
    assert (made.outcome, made.patch, made.injection) == (Outcome.UNCHANGED, (), None)
    assert made.parts[0].is_carried_by(pod(rendered))
    other = plan(Deployment(rendered), ask(spec_of(mode="Admission", events={"topic": "t"})))
    assert other.refusal is not None
    assert "kvsync render" in other.refusal.remedy


def test_a_count_of_evictions_is_not_forgotten_beside_many_models_with_problems() -> None:
    body, entry = restarted(deployment(name="z"))
    living = pod(body, entry, name="z-0")
    count = {"terms": entry.token, "times": [int(NOW) - 60], "by": "z-1"}
    told = {"name": "z", "replaced": count, "verifiedRecord": 9_000, "record": 9_000}
    missing = [model(None, name=f"m{number:03}") for number in range(MAX_MODELS + 5)]
    status = decided(
        model(body, living),
        *missing,
        spec=SPEC,
        verdicts=[verdict_on(living)],
        sync=sync_of(status={"injections": [entry.entry()], "models": [told]}),
    ).status
    assert status is not None
    assert len(status["models"]) == MAX_MODELS
    assert status["models"][-1]["state"] == "Ready"
    assert status["models"][-1]["replaced"] == count
