"""What is searched: small ones that end within seconds, and large ones for ``make explore``."""

from core.cluster import CRASHES
from explore.community import Scenario

ONE = {"one": ("a",)}
TWO = {"one": ("a",), "two": ("b",)}
THREE = {"one": ("a",), "two": ("b",), "three": ("c",)}
ADMISSION = {"mode": "Admission"}

SMALL = {
    "one object, killed and deleted at any moment": Scenario(ONE, deleted=("one",)),
    "one object in mode Admission, killed and deleted": Scenario(
        ONE, deleted=("one",), fields=ADMISSION
    ),
    "two objects, the engine of the first crashes": Scenario(
        TWO, fates={"a": CRASHES}, crashes=False
    ),
}
"""All states of these are visited by ``make test``."""

LARGE = {
    "three objects and models, killed at any moment": Scenario(THREE),
    "three, killed, and each may be deleted": Scenario(THREE, deleted=("one", "two", "three")),
    "three, killed and deleted, two models at once": Scenario(
        THREE, cap=2, deleted=("one", "two", "three")
    ),
    "three, killed and deleted, in mode Admission": Scenario(
        THREE, deleted=("one", "two", "three"), fields=ADMISSION
    ),
    "three objects, undisturbed": Scenario(THREE, crashes=False),
    "two objects, killed at any moment": Scenario(TWO),
    "two objects, one is deleted": Scenario(TWO, deleted=("one",), crashes=False),
    "two objects, the engine of the first crashes, killed": Scenario(TWO, fates={"a": CRASHES}),
    "two objects that select one model, one is deleted": Scenario(
        {"one": ("a",), "two": ("a",)}, deleted=("one",)
    ),
    "one object of three models, which their owners edit": Scenario(
        {"one": ("a", "b", "c")}, edited=("a", "b")
    ),
}
