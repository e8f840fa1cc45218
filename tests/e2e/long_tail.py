"""What the owners' programs do to a configured model: the rows of the tables in docs/gitops.md.

Each cell is a model of its own that the stories run; the page is held against the same rows.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Container = dict[str, Any]


class Kept(enum.StrEnum):
    """Where the owner's manifest has the engine's flags, and how ours are delivered: a column."""

    ARGS = "args"
    COMMAND = "command"
    SLOT = "slot"
    """In ``args``, with a slot among them."""
    ADMISSION = "admission"
    """In ``args``, and mode Admission: the template gets an annotation, the rest is given to pods."""


class Writes(enum.StrEnum):
    """What the owner writes next."""

    SAME = "same"
    IMAGE = "image"
    ARGS = "words"
    """Other args; where all was in ``command``, args for the first time."""
    BACK = "back"
    """Helm's rollback to the revision before the last one."""

    @classmethod
    def alike(cls) -> tuple["Writes", ...]:
        """Those that name no other flags."""
        return cls.SAME, cls.IMAGE


class Fate(enum.StrEnum):
    """What becomes of ours, and of the owner's write; as the page says it."""

    KEPT = "kept"
    LOST = "**argument lost**"
    """Ports, label and record stay. The operator puts the argument back."""
    ALL_LOST = "**all lost**"
    """Ports, label and record too. The operator puts all of it back."""
    FAILS = "**fails**"
    """The owner's program fails with a conflict, and nothing is written."""
    REFUSED = "refused before"
    """The operator sees it coming and writes nothing: ArgsOwned."""


class Program(enum.StrEnum):
    """What an owner writes with."""

    CREATE = "create"
    APPLY = "apply"
    SERVER_SIDE = "apply --server-side"
    FORCED = "apply --server-side --force-conflicts"
    REPLACE = "replace"
    HELM_3 = "helm 3"
    HELM_3_FORCE = "helm 3 --force"
    HELM_4 = "helm 4"
    HELM_4_CLIENT = "helm 4 --server-side=false"
    HELM_4_FORCED = "helm 4 --force-conflicts"

    @property
    def rolls_back(self) -> bool:
        """Whether it keeps revisions of its own."""
        return self.startswith("helm")


@dataclass(frozen=True)
class Row:
    """One owner: how the page calls it, what made the model and what writes it next, and the fates.

    By column: flags in ``args``; all in ``command``; and there, args introduced; with a slot; in mode
    Admission. What else the owner writes, the same, another image, other args, or a rollback, makes no
    difference.
    """

    title: str
    made_by: Program
    written_by: Program
    args: Fate
    command: Fate
    introduced: Fate
    slot: Fate
    admission: Fate
    named: str = ""
    """What the operator calls who takes the argument away."""
    warned: bool = False
    """Whether the operator says beforehand that the owner may take the arguments away."""

    @property
    def cells(self) -> Mapping[tuple[Kept, Writes], Fate]:
        """The fate of each model."""
        back = [Writes.BACK] if self.written_by.rolls_back else []
        return {
            **{(Kept.ARGS, writes): self.args for writes in (*Writes.alike(), Writes.ARGS, *back)},
            **{(Kept.COMMAND, writes): self.command for writes in (*Writes.alike(), *back)},
            (Kept.COMMAND, Writes.ARGS): self.introduced,
            **{(Kept.SLOT, writes): self.slot for writes in (Writes.SAME, Writes.ARGS)},
            **{
                (Kept.ADMISSION, writes): self.admission
                for writes in (Writes.IMAGE, Writes.ARGS, *back)
            },
        }


KUBECTL = (
    Row(
        "`kubectl apply`",
        *(Program.APPLY, Program.APPLY),
        *(Fate.LOST, Fate.KEPT, Fate.LOST, Fate.LOST, Fate.KEPT),
        named="kubectl apply",
        warned=True,
    ),
    Row(
        "`kubectl apply --server-side`",
        *(Program.SERVER_SIDE, Program.SERVER_SIDE),
        *(Fate.REFUSED, Fate.KEPT, Fate.FAILS, Fate.REFUSED, Fate.KEPT),
    ),
    Row(
        "the same, of a model from `kubectl apply`",
        *(Program.APPLY, Program.SERVER_SIDE),
        *(Fate.FAILS, Fate.KEPT, Fate.FAILS, Fate.FAILS, Fate.KEPT),
        warned=True,
    ),
    Row(
        "the same, with `--force-conflicts`",
        *(Program.APPLY, Program.FORCED),
        *(Fate.LOST, Fate.KEPT, Fate.LOST, Fate.LOST, Fate.KEPT),
        named="kubectl apply --server-side",
        warned=True,
    ),
    Row(
        "`kubectl replace`",
        *(Program.CREATE, Program.REPLACE),
        *(Fate.ALL_LOST,) * 5,
        named="kubectl replace",
    ),
)

HELM = (
    Row(
        "Helm 3: upgrade, rollback",
        *(Program.HELM_3, Program.HELM_3),
        *(Fate.LOST, Fate.KEPT, Fate.LOST, Fate.LOST, Fate.KEPT),
        named="Helm",
        warned=True,
    ),
    Row(
        "Helm 3 `--force`: upgrade, rollback",
        *(Program.HELM_3, Program.HELM_3_FORCE),
        *(Fate.ALL_LOST,) * 5,
        named="Helm",
        warned=True,
    ),
    Row(
        "Helm 4: upgrade, rollback",
        *(Program.HELM_4, Program.HELM_4),
        *(Fate.REFUSED, Fate.KEPT, Fate.FAILS, Fate.REFUSED, Fate.KEPT),
    ),
    Row(
        "Helm 4 on a release of Helm 3: upgrade, rollback",
        *(Program.HELM_3, Program.HELM_4),
        *(Fate.LOST, Fate.KEPT, Fate.LOST, Fate.LOST, Fate.KEPT),
        named="Helm",
        warned=True,
    ),
    Row(
        "Helm 4 `--server-side=false`: upgrade, rollback",
        *(Program.HELM_4_CLIENT, Program.HELM_4_CLIENT),
        *(Fate.LOST, Fate.KEPT, Fate.LOST, Fate.LOST, Fate.KEPT),
        named="Helm",
        warned=True,
    ),
    Row(
        "Helm 4 `--force-conflicts`: upgrade, rollback",
        *(Program.HELM_4, Program.HELM_4_FORCED),
        *(Fate.REFUSED, Fate.KEPT, Fate.LOST, Fate.REFUSED, Fate.KEPT),
        named="Helm",
    ),
)


def _nothing(_: Container) -> None:
    """The owner's container stays as it is."""


def _image(container: Container) -> None:
    container["image"] = "vllm/vllm-openai:v0.16.1"


def _variable(container: Container) -> None:
    container["env"] = [{"name": "TEAM", "value": "a"}]


def _resources(container: Container) -> None:
    container["resources"] = {"requests": {"cpu": "10m"}}


@dataclass(frozen=True)
class Operation:
    """One of kubectl's verbs on a configured model: ``words`` with its name, and what it changes.

    ``first`` comes before it, while the operator runs.
    """

    title: str
    name: str
    words: str
    fate: Fate = Fate.KEPT
    rollouts: int = 0
    changes: Callable[[Container], None] = _nothing
    first: str = ""


SET_IMAGE = "set image deployment/{name} vllm=vllm/vllm-openai:v0.16.1"
UNDO = "rollout undo deployment/{name}"

OPERATIONS = (
    Operation("`set image`", "image", SET_IMAGE, rollouts=1, changes=_image),
    Operation(
        "`set env`", "env", "set env deployment/{name} TEAM=a", rollouts=1, changes=_variable
    ),
    Operation(
        "`set resources`",
        "resources",
        "set resources deployment/{name} --requests=cpu=10m",
        rollouts=1,
        changes=_resources,
    ),
    Operation("`annotate`", "annotate", "annotate deployment/{name} team=a"),
    Operation("`label`", "label", "label deployment/{name} team=a"),
    Operation("`scale`", "scale", "scale deployment/{name} --replicas=2"),
    Operation("a HorizontalPodAutoscaler", "hpa", "autoscale deployment/{name} --min=2 --max=3"),
    Operation("`rollout restart`", "restart", "rollout restart deployment/{name}", rollouts=1),
    Operation("`rollout pause`", "pause", "rollout pause deployment/{name}"),
    Operation("`rollout undo` to a revision of ours", "ours", UNDO, rollouts=1, first=SET_IMAGE),
    Operation("`rollout undo` to before us", "before", UNDO, Fate.ALL_LOST, rollouts=2),
)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The page's table of owners, by lines."""
    titles = ("flags in `args`", "all in `command`", "… and args introduced", "the slot in `args`")
    yield f"| the owner's next write | {' | '.join(titles)} | mode Admission |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        fates = (row.args, row.command, row.introduced, row.slot, row.admission)
        yield f"| {row.title} | {' | '.join(fates)} |"


def operations_table(rows: Iterable[Operation]) -> Iterator[str]:
    """The page's table of kubectl's verbs, by lines."""
    yield "| on a configured model | ours | rollouts |"
    yield "|---|---|---|"
    for row in rows:
        yield f"| {row.title} | {row.fate} | {row.rollouts} |"
