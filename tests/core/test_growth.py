"""What a pass looks at grows with its models, not with models times sources."""

from collections import UserDict
from collections.abc import Iterator

import pytest

from core.objects import TEMPLATES, deployment
from core.scenes import observe, working
from kvsync.core.decide import decide
from kvsync.model.source import SourceKey, Verdict


class Counted(UserDict[SourceKey, Verdict]):
    """Verdicts that count how often all of them were gone through."""

    times = 0

    def __iter__(self) -> Iterator[SourceKey]:
        self.times += 1
        return super().__iter__()


def looks(models: int) -> int:
    """How often a pass over so many working models goes through all verdicts."""
    made = [working(deployment(name=f"m-{n}")) for n in range(models)]
    picture = observe(*(one for one, _ in made))
    verdicts = Counted({verdict.key: verdict for _, verdict in made})
    object.__setattr__(picture, "verdicts", verdicts)
    decide(picture, TEMPLATES)
    return verdicts.times


@pytest.mark.parametrize("models", [2, 20])
def test_all_verdicts_are_gone_through_as_often_however_many_models_there_are(models: int) -> None:
    assert looks(models) == looks(1) > 0
