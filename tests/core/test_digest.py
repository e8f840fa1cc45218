"""A digest stands on objects and in statuses: its form is kept."""

from kvsync.core.digest import digest


def test_the_form_stays() -> None:
    assert digest(["a", {"b": 1, "a": [True, None]}]) == "01caecb205af4ce8"


def test_the_order_of_keys_does_not_matter_and_that_of_items_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(["a", "b"]) != digest(["b", "a"])
