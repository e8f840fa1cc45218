"""Reading the templates and the CRD that the package carries, or a folder that replaces them."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def data_folder(name: str) -> Path:
    """Where ``templates`` or ``crds`` lie: inside an installed package, else in the source checkout.

    Raises:
        FileNotFoundError: neither exists; the installation is broken.
    """
    candidates = (_PACKAGE / "data" / name, _PACKAGE.parent.parent / name)
    found = next((folder for folder in candidates if folder.is_dir()), None)
    if found is None:
        raise FileNotFoundError(f"{name}/ is missing from this installation: reinstall it")
    return found


def read_templates(override: str | None = None) -> dict[str, str]:
    """The templates' text by path below their folder; files in ``override`` replace built-in ones.

    Raises:
        FileNotFoundError: ``override`` is no folder.
    """
    templates = _texts(data_folder("templates"))
    if override is not None:
        folder = Path(override)
        if not folder.is_dir():
            raise FileNotFoundError(f"the templates folder {override!r} does not exist")
        templates.update(_texts(folder))
    return templates


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.j2"))
    }
