"""Label selectors with the rules of Kubernetes (apimachinery's pkg/labels/selector.go)."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsync.model.fields import Fields, SpecError, checked_text

MAX_LABELS = 32
MAX_EXPRESSIONS = 16
MAX_VALUES = 64

_PREFIX = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
LABEL_KEY = re.compile(
    rf"^(?=.{{1,317}}$)({_PREFIX}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$"
)
LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
KEY_HINT = "must be a label key such as app or model.aibrix.ai/name"
VALUE_HINT = "must be a label value: at most 63 letters, digits, '-', '_', '.', or empty"


Demand = tuple[str, tuple[str, ...]]
"""A label's key and the values of which it has one; no values: any."""


class Operator(enum.StrEnum):
    """How an expression compares a label with its values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression on one label key."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it. A missing label meets NotIn, as in Kubernetes."""
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels

    @property
    def demand(self) -> Demand | None:
        """The label without which it is not met; None where it can be met without one."""
        is_positive = self.operator in (Operator.IN, Operator.EXISTS)
        return (self.key, self.values) if is_positive else None

    @classmethod
    def from_fields(cls, fields: Fields) -> Requirement:
        """Read one entry of matchExpressions. Raises SpecError."""
        key = checked_text(fields.at("key"), fields.get("key"), LABEL_KEY, KEY_HINT)
        operator = _operator(fields)
        values = tuple(
            checked_text(f"{fields.at('values')}[{index}]", value, LABEL_VALUE, VALUE_HINT)
            for index, value in enumerate(fields.items("values", MAX_VALUES))
        )
        fields.done()
        if operator in (Operator.IN, Operator.NOT_IN) and not values:
            raise SpecError(fields.at("values"), f"is empty: {operator} needs at least one value")
        if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and values:
            raise SpecError(fields.at("values"), f"must be left out with {operator}")
        return cls(key, operator, values)


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Labels and expressions that must all hold. ``match_labels`` is sorted by key.

    An empty one selects everything in Kubernetes; from_fields refuses it, so that nobody
    configures a whole namespace by leaving a field empty.
    """

    match_labels: tuple[tuple[str, str], ...] = ()
    match_expressions: tuple[Requirement, ...] = field(default=())

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What every object that is selected carries; nothing where it only rules out."""
        pairs = ((key, (value,)) for key, value in self.match_labels)
        positive = (each.demand for each in self.match_expressions)
        return (*pairs, *(demand for demand in positive if demand is not None))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> LabelSelector:
        """Read a metav1 label selector. Raises SpecError, also where it is empty."""
        labels = _match_labels(fields)
        path = fields.at("matchExpressions")
        expressions = tuple(
            Requirement.from_fields(Fields(value, f"{path}[{index}]"))
            for index, value in enumerate(fields.items("matchExpressions", MAX_EXPRESSIONS))
        )
        fields.done()
        if not labels and not expressions:
            raise SpecError(fields.path, "is empty: set matchLabels or matchExpressions")
        return cls(labels, expressions)


def _operator(fields: Fields) -> Operator:
    if fields.get("operator") is None:
        raise SpecError(fields.at("operator"), f"is missing: choose {' or '.join(Operator)}")
    return fields.choice("operator", Operator.IN)


def _match_labels(fields: Fields) -> tuple[tuple[str, str], ...]:
    raw = fields.get("matchLabels")
    path = fields.at("matchLabels")
    if raw is None:
        return ()
    if not isinstance(raw, Mapping):
        raise SpecError(path, "must be an object of label keys and values")
    if len(raw) > MAX_LABELS:
        raise SpecError(path, f"holds {len(raw)} labels: at most {MAX_LABELS}")
    pairs = (
        (
            checked_text(f"{path}[{key!r}]", key, LABEL_KEY, KEY_HINT),
            checked_text(f"{path}[{key!r}]", value, LABEL_VALUE, VALUE_HINT),
        )
        for key, value in raw.items()
    )
    return tuple(sorted(pairs))
