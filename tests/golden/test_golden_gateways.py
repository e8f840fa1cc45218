"""What the gateway is told, by its release and by what the engines are: names, values, order."""

from pathlib import Path

import pytest

from core.objects import TEMPLATES, Json
from golden.files import check, load
from kvsync.core.gateway import variable_names
from kvsync.core.render import gateway_variables
from kvsync.model.image import parse_image
from kvsync.model.spec import GatewayEnvironment

CORPUS = Path(__file__).parent / "gateways"
CASES: dict[str, Json] = {
    "v0.4.1": {"tag": "v0.4.1"},
    "v0.5.0": {"tag": "v0.5.0"},
    "v0.7.0": {"tag": "v0.7.0"},
    "v0.7.0-block-32": {"tag": "v0.7.0", "block_size": 32},
    "v0.7.0-block-unknown": {"tag": "v0.7.0", "block_size": None},
    "v0.7.0-port-9000": {"tag": "v0.7.0", "http_port": 9000},
    "nightly": {"tag": "nightly"},
    "digest-only": {"tag": ""},
    "v0.7.0-old-names-wanted": {"tag": "v0.7.0", "environment": "V0_4"},
    "v0.4.1-new-names-wanted": {"tag": "v0.4.1", "environment": "V0_5"},
    "other-tokenizer": {"tag": "v0.7.0", "engine": "sglang", "endpoint": 'http://x/?a="b"&c={d}'},
}


@pytest.mark.parametrize("name", CASES)
def test_golden_gateway(name: str, request: pytest.FixtureRequest) -> None:
    case = CASES[name]
    environment = GatewayEnvironment(case.get("environment", "Auto"))
    version = parse_image(f"aibrix/gateway-plugins:{case['tag']}").version
    variables = gateway_variables(
        TEMPLATES,
        names=variable_names(environment, version),
        tokenizer_engine=case.get("engine", "vllm"),
        tokenizer_endpoint=case.get("endpoint", "http://my-model.default:8000"),
        block_size=case.get("block_size", 16),
        http_port=case.get("http_port", 8000),
    )
    rewrite = bool(request.config.getoption("--rewrite-golden"))
    check(CORPUS / f"{name}.yaml", variables, rewrite=rewrite)


def test_every_expectation_has_its_case() -> None:
    assert {path.stem for path in CORPUS.glob("*.yaml")} == CASES.keys()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_must_never_be_set_is_not(path: Path) -> None:
    # AIBrix multiplies these by their unit twice: "5s" would be 158 years.
    assert not [name for name in load(path) if name.startswith("AIBRIX_TOKENIZER_")]
