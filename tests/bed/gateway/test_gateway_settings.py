"""What each gateway release makes of its environment."""

import pytest

from testbed.gateway.metrics import GatewayMetrics
from testbed.gateway.releases import NEW_NAMES, OLD_NAMES, RELEASES, release_of
from testbed.gateway.settings import Verdict, judge, read

NEW = {
    NEW_NAMES.sync: "true",
    NEW_NAMES.remote_tokenizer: "true",
    NEW_NAMES.tokenizer_type: "remote",
    NEW_NAMES.endpoint: "http://vllm.default:8000",
}
OLD = {
    OLD_NAMES.sync: "true",
    OLD_NAMES.remote_tokenizer: "true",
    OLD_NAMES.endpoint: "http://vllm.default:8000",
    "AIBRIX_REMOTE_TOKENIZER_ENGINE": "vllm",
}
OLD_WITH_TYPE = OLD | {OLD_NAMES.tokenizer_type: "remote"}
INSTALL = {
    NEW_NAMES.sync: "false",
    NEW_NAMES.remote_tokenizer: "false",
    NEW_NAMES.tokenizer_type: "character",
    "AIBRIX_PREFIX_CACHE_BLOCK_SIZE": "128",
}


def without(env: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in env.items() if name not in names}


ROWS = [
    # release, environment, verdict, sync gauge, words
    ("main", NEW, Verdict.START, 1, ""),
    ("v0.5.0", NEW, Verdict.START, 1, ""),
    ("main", INSTALL, Verdict.OFF, 0, ""),
    ("main", {}, Verdict.OFF, 0, ""),
    ("main", without(NEW, NEW_NAMES.sync), Verdict.OFF, 0, ""),
    ("main", NEW | {NEW_NAMES.sync: "false"}, Verdict.OFF, 0, ""),
    ("main", NEW | {NEW_NAMES.sync: "yes"}, Verdict.OFF, 0, ""),
    ("main", NEW | {NEW_NAMES.sync: "True"}, Verdict.START, 1, ""),
    ("main", NEW | {NEW_NAMES.sync: "1"}, Verdict.START, 1, ""),
    (
        "main",
        without(NEW, NEW_NAMES.remote_tokenizer),
        Verdict.NO_TOKENIZER,
        1,
        "KV event sync requires remote tokenizer",
    ),
    (
        "main",
        NEW | {NEW_NAMES.tokenizer_type: "Remote"},
        Verdict.MISCONFIGURED,
        1,
        'AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote (got "Remote")',
    ),
    (
        "main",
        NEW | {NEW_NAMES.endpoint: ""},
        Verdict.MISCONFIGURED,
        1,
        "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT to be set",
    ),
    ("main", OLD_WITH_TYPE, Verdict.OFF, 0, ""),
    ("v0.5.0", OLD_WITH_TYPE, Verdict.OFF, 0, ""),
    ("v0.4.1", OLD_WITH_TYPE, Verdict.START, 1, ""),
    ("v0.4.1", OLD, Verdict.MISCONFIGURED, 1, 'TOKENIZER_TYPE=remote (got "character")'),
    ("v0.4.1", NEW, Verdict.OFF, 0, ""),
    ("v0.4.1", OLD_WITH_TYPE | NEW, Verdict.START, 1, ""),
]


@pytest.mark.parametrize(("tag", "env", "verdict", "gauge", "words"), ROWS)
def test_environment_decides(
    tag: str, env: dict[str, str], verdict: Verdict, gauge: int, words: str
) -> None:
    settings = read(env, release_of(f"aibrix/gateway-plugins:{tag}"))
    found, said = judge(settings)
    assert (found, words in said, bool(said)) == (verdict, True, bool(words))
    exposed = GatewayMetrics(settings).text().decode()
    line = 'aibrix_prefix_cache_indexer_status{indexer_type="sync",model="_init_"}'
    assert f"{line} {gauge}.0" in exposed


def test_sync_alone_turns_the_routers_remote_tokenizer_on() -> None:
    settings = read({NEW_NAMES.sync: "true"}, RELEASES[-1])
    assert settings.router_tokenizes_remotely
    assert not settings.remote_tokenizer


@pytest.mark.parametrize(
    ("text", "size"), [("128", 128), ("64", 64), ("", 16), ("many", 16), ("-4", 16)]
)
def test_block_size_is_validated_nowhere(text: str, size: int) -> None:
    assert read({"AIBRIX_PREFIX_CACHE_BLOCK_SIZE": text}, RELEASES[-1]).block_size == size


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("aibrix/gateway-plugins:v0.7.0", "v0.7.0"),
        ("registry.local:5000/aibrix/gateway-plugins:v0.6.0@sha256:00", "v0.6.0"),
        ("aibrix/gateway-plugins:v0.6.3", "v0.6.0"),
        ("aibrix/gateway-plugins:0.4.0", "v0.4.1"),
        ("aibrix/gateway-plugins:v0.9.0", "v0.7.0"),
        ("aibrix/gateway-plugins:nightly", "main"),
        ("aibrix/gateway-plugins:main", "main"),
        ("registry.local:5000/aibrix/gateway-plugins", "main"),
    ],
)
def test_release_is_the_images_tag(image: str, name: str) -> None:
    assert release_of(image).name == name


def test_release_before_kv_events_is_refused() -> None:
    with pytest.raises(ValueError, match="newer tag"):
        release_of("aibrix/gateway-plugins:v0.3.0")


def test_zmq_metrics_exist_in_one_release_only() -> None:
    assert [release.name for release in RELEASES if release.zmq_metrics] == ["v0.4.1"]
