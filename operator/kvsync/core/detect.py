"""Which container runs the engine, which version it is and which dialect it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvsync.core.arguments import int_of, value_of
from kvsync.core.engines import ENGINES, Engine
from kvsync.core.launch import Launch, Start, assumed_start, start_of
from kvsync.core.releases import FIRST_FLAGS, first_with_events
from kvsync.model.finding import EngineFinding, Refusal, VersionSource
from kvsync.model.image import Image, parse_image
from kvsync.model.reasons import ModelReason
from kvsync.model.spec import Dialect, EngineSpec, EngineType
from kvsync.model.storm import Role
from kvsync.model.version import Version, parse_version
from kvsync.model.workload import Container, Deployment


@dataclass(frozen=True, slots=True)
class Detected:
    """A workload's engine: what is known of it, the container it runs in, and how it starts."""

    finding: EngineFinding
    container: Container
    start: Start


def find_engine_container(
    deployment: Deployment, engine: Engine, wanted: str = ""
) -> Container | Refusal:
    """The container that runs the engine: the one named, or the only one that looks like one."""
    if wanted:
        return deployment.container(wanted) or Refusal(
            ModelReason.NO_ENGINE_CONTAINER,
            f"{deployment.title} has no container named {wanted!r}.",
            f"Set spec.engine.container to one of: {_names(deployment.containers)}.",
        )
    found = _running(deployment, engine)
    sure = [c for c in found if not start_of(c, engine).is_guess]
    # Beside an engine, what only has its image is a helper; alone in a Deployment it may be hidden.
    found = sure if sure or isinstance(deployment, Role) else found
    if len(found) == 1:
        return found[0]
    if not found:
        return Refusal(
            ModelReason.NO_ENGINE_CONTAINER,
            f"No container of {deployment.title} is known to run {engine.name}.",
            _other_engine(deployment, engine)
            or f"Set spec.engine.container to the one that does: {_names(deployment.containers)}.",
        )
    return Refusal(
        ModelReason.SEVERAL_ENGINES,
        f"{deployment.title} has several containers that run {engine.name}: {_names(found)}.",
        "Set spec.engine.container to the one that shall publish events.",
    )


def _running(deployment: Deployment, engine: Engine) -> list[Container]:
    return [c for c in deployment.containers if start_of(c, engine).launch is not Launch.OTHER]


def _other_engine(deployment: Deployment, engine: Engine) -> str:
    """The remedy where an engine of another kind was found."""
    for kind, other in ENGINES.items():
        if other is not engine and _running(deployment, other):
            return f"It runs {other.name}: set spec.engine.type to {kind}."
    return ""


def _names(containers: tuple[Container, ...] | list[Container]) -> str:
    return ", ".join(c.name for c in containers)


def find_engine(
    deployment: Deployment,
    spec: EngineSpec,
    running_version: str | None,
    written: Dialect | None = None,
) -> Detected | Refusal:
    """Everything that must be known of a workload's engine before it may be changed.

    Args:
        deployment: the workload, without our own changes.
        spec: what the object says of the engine.
        running_version: what the running engine's ``GET /version`` answered, if it was asked.
        written: the dialect that we wrote and that stands on the engine now, if we did.
    """
    engine = ENGINES[spec.type]
    container = find_engine_container(deployment, engine, spec.container)
    if isinstance(container, Refusal):
        return container
    version, source = find_version(container, spec, running_version)
    dialect = find_dialect(container, spec, version, source)
    if isinstance(dialect, Refusal) and version is None and written is not None:
        # The engine that told its version restarts with it; its silence is no reason to doubt.
        dialect = written
    if isinstance(dialect, Refusal):
        return dialect
    start = assumed_start(container, engine)
    finding = EngineFinding(
        type=spec.type,
        container=container.name,
        image=container.image,
        version=version,
        version_source=source,
        dialect=dialect,
        words=start.words,
        http_port=int_of(start.words, "port") or engine.http_port,
        served_model=value_of(start.words, "served-model-name") or "",
    )
    return Detected(finding, container, start)


def find_version(
    container: Container, spec: EngineSpec, running_version: str | None
) -> tuple[Version | None, VersionSource]:
    """The engine's version and how it was found: the object, the image tag, the running engine."""
    image = parse_image(container.image)
    candidates = (
        (parse_version(spec.version), VersionSource.SPEC),
        (_tagged_version(image, ENGINES[spec.type]), VersionSource.TAG),
        (parse_version(running_version or ""), VersionSource.RUNNING),
    )
    found = ((version, source) for version, source in candidates if version is not None)
    return next(found, (None, VersionSource.UNKNOWN))


def _tagged_version(image: Image, engine: Engine) -> Version | None:
    """The engine's release that a tag names; other builds than upstream's may count their own.

    A name without the engine's in it does, and so does a number that the engine has not reached
    (``25.09``). A tag that names the engine is believed (``rocm6.4.1_vllm_0.9.1_20250702``).
    """
    if engine.image_word not in image.basename or engine.counts_apart(image):
        return None
    named = re.search(rf"(?:^|[._-]){engine.image_word}[_-](?=v?\d)", image.tag)
    if named is not None:
        return parse_version(image.tag[named.end() :])
    version = image.version
    own_count = version is not None and version.major > 0 and not engine.is_upstream(image)
    return None if own_count else version


def find_dialect(
    container: Container, spec: EngineSpec, version: Version | None, source: VersionSource
) -> Dialect | Refusal:
    """The dialect to write; refused rather than guessed, since a wrong one crashes the engine."""
    engine, image = ENGINES[spec.type], parse_image(container.image)
    if spec.type is EngineType.SGLANG and spec.dialect is Dialect.FLAGS:
        return Refusal(
            ModelReason.DIALECT_UNKNOWN,
            "SGLang has no such flags as the dialect Flags writes.",
            "Set spec.engine.dialect to Auto.",
        )
    if spec.dialect is not Dialect.AUTO:
        return spec.dialect
    first = first_with_events(spec.type)
    if version is None:
        rolling = image.is_rolling and engine.is_upstream(image)
        return Dialect.CONFIG_JSON if rolling else _dialect_unknown(container, first)
    if version >= first:
        return Dialect.CONFIG_JSON
    takes_flags = spec.type is EngineType.VLLM and version >= FIRST_FLAGS
    if takes_flags and not engine.is_upstream(image):
        return Dialect.FLAGS
    build = ", or set spec.engine.dialect to Flags if this build takes --enable-kv-cache-events"
    return Refusal(
        ModelReason.ENGINE_TOO_OLD,
        f"{engine.name} {version} (found by: {source}) has no KV events; its parser refuses the "
        "flags.",
        f"Use {engine.name} {first} or newer{build if spec.type is EngineType.VLLM else ''}.",
    )


def _dialect_unknown(container: Container, first: Version) -> Refusal:
    return Refusal(
        ModelReason.DIALECT_UNKNOWN,
        f"The version of image {container.image!r} is unknown: its tag names no release and no "
        "running engine has told it.",
        f"Set spec.engine.version (or spec.engine.dialect: ConfigJSON for {first} and newer).",
    )
