"""The software bill of materials: CycloneDX of what pip says that it installed, or would install.

``python -m image.bill FOLDER`` (``make sbom``) writes one for each architecture of the image. pip's report
names the one file of each package, with its sha256 and its own metadata, for the platform that is asked for;
the lock alone holds the digests of all files of a version. Of the base image it says nothing: scanners read
that from the image.
"""

import argparse
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image.dockerfile import ROOT
from image.wheels import ARCHITECTURES, WheelError, platform_of, report_for

CLASSIFIER = "License :: OSI Approved :: "


def bill(report: Mapping[str, Any], version: str, platform: Mapping[str, str]) -> Bom:
    """The bill of an image of one version of ours, by pip's report of what is in it.

    ``platform`` holds the markers (PEP 508) in which the image differs from this process.
    """
    bom = Bom()
    own = Component(
        name="kvsync-operator",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref="kvsync-operator",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    bom.metadata.component = own
    parts = {part.name: part for part in map(_component, report["install"])}
    for part in parts.values():
        bom.components.add(part)
    for name, needs in _needs(report["install"], platform).items():
        bom.register_dependency(parts[name], [parts[each] for each in needs if each in parts])
    bom.register_dependency(own, parts.values())
    return bom


def as_json(bom: Bom) -> str:
    """The bill as CycloneDX 1.6."""
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text + "\n"


def _component(item: Mapping[str, Any]) -> Component:
    metadata = item["metadata"]
    name = canonicalize_name(metadata["name"])
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    purl = PackageURL("pypi", None, name, metadata["version"])
    return Component(
        name=name,
        version=metadata["version"],
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        licenses=_licenses(metadata),
    )


def _licenses(metadata: Mapping[str, Any]) -> list[Any]:
    """What a package says of its license: the expression, else a short text, else its classifiers."""
    said = _expression(metadata) or metadata.get("license") or ""
    if said and "\n" not in said and len(said) <= 80:
        return [LicenseFactory().make_from_string(said)]
    found = (each for each in metadata.get("classifier", ()) if each.startswith(CLASSIFIER))
    return [
        DisjunctiveLicense(name=name) for name in (each.removeprefix(CLASSIFIER) for each in found)
    ]


def _expression(metadata: Mapping[str, Any]) -> str:
    """The license as an expression (PEP 639); reports of pip before 25 leave it out, so it is also read
    from the same version as it is installed here."""
    said = metadata.get("license_expression")
    try:
        here = importlib.metadata.metadata(metadata["name"])
    except importlib.metadata.PackageNotFoundError:
        return said or ""
    same = here["Version"] == metadata["version"] and "License-Expression" in here
    return said or (here["License-Expression"] if same else "")


def _needs(items: Sequence[Mapping[str, Any]], platform: Mapping[str, str]) -> dict[str, list[str]]:
    """By package, the names of those that it needs; what only its extras need is left out."""
    found: dict[str, list[str]] = {}
    for item in items:
        wanted = map(Requirement, item["metadata"].get("requires_dist", ()))
        names = {
            canonicalize_name(each.name)
            for each in wanted
            if each.marker is None or each.marker.evaluate({"extra": "", **platform})
        }
        found[canonicalize_name(item["metadata"]["name"])] = sorted(names)
    return found


def locked(text: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, version and the sha256 digests that are allowed, of each package that a lock installs here."""
    for block in re.split(r"\n(?=[a-z0-9])", text):
        line = block.partition(" \\\n")[0]
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            version = str(wanted.specifier).removeprefix("==")
            digests = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
            yield canonicalize_name(wanted.name), version, digests


def main() -> None:
    parser = argparse.ArgumentParser(prog="image.bill", description="Writes the SBOM of the image.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", required=True, help="the version of kvsync-operator")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        for architecture in ARCHITECTURES:
            report = report_for(architecture, ROOT / "requirements" / "runtime.txt")
            path = options.folder / f"kvsync-operator-{options.version}-{architecture}.cdx.json"
            path.write_text(as_json(bill(report, options.version, platform_of(architecture))))
            print(f"{path}: {len(report['install'])} packages")
    except (WheelError, json.JSONDecodeError) as error:
        sys.exit(f"sbom: {error}")


if __name__ == "__main__":
    main()
