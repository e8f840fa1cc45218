"""Who may have a gateway changed: never anybody whom no grant lets in, whatever they are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.gateway_access import (
    GatewayAccess,
    GatewayGrant,
    Labelled,
    Permission,
    parse_grant,
)

GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")
YES, NO = Labelled(True), Labelled(False)
UNKNOWN = Labelled(None, "cannot watch namespaces: forbidden")

WORDS = st.text("ab*", min_size=1, max_size=3)
NAMES = st.text("ab", min_size=1, max_size=3)
GRANTS = st.builds(GatewayGrant, WORDS, WORDS, st.lists(WORDS, max_size=2).map(tuple))


def asked(
    *texts: str, namespace: str = "team", labelled: Labelled = NO, own: str = ""
) -> Permission:
    access = GatewayAccess(tuple(map(parse_grant, texts)), own)
    return access.may_manage(namespace, *GATEWAY, labelled)


def matches(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern.replace("*", ".*"), name) is not None


@given(
    grants=st.lists(GRANTS, max_size=3),
    own=NAMES | st.just(""),
    namespace=NAMES,
    gateway=st.tuples(NAMES, NAMES),
    labelled=st.sampled_from([YES, NO, UNKNOWN]),
)
def test_nobody_is_let_in_but_by_a_grant(
    grants: list[GatewayGrant],
    own: str,
    namespace: str,
    gateway: tuple[str, str],
    labelled: Labelled,
) -> None:
    """The rule a second time, as the documentation says it."""
    covering = [
        grant
        for grant in grants
        if matches(grant.gateway_namespace, gateway[0]) and matches(grant.gateway, gateway[1])
    ]
    by_label = any(not grant.namespaces for grant in covering)
    listed = any(matches(pattern, namespace) for g in covering for pattern in g.namespaces)
    allowed = listed or (by_label and (labelled.value is True or namespace == own))
    said = GatewayAccess(tuple(grants), own).may_manage(namespace, *gateway, labelled)
    assert said.granted == allowed
    assert said.known or (by_label and labelled.value is None and not allowed)
    assert GatewayAccess(tuple(grants), own).is_gateway(*gateway) == bool(covering)


def test_the_label_lets_in_and_its_absence_says_how_to_get_it() -> None:
    assert asked("aibrix-system/aibrix-gateway-plugins", labelled=YES).granted
    denied = asked("aibrix-system/aibrix-gateway-plugins")
    assert denied.known
    assert "kubectl label namespace team kvsync.aibrix.ai/gateway-access=true" in denied.denial
    assert "aibrix-system/aibrix-gateway-plugins" in denied.denial


def test_the_operators_own_namespace_needs_no_label_and_an_unknown_one_is_nobodys() -> None:
    text = "aibrix-system/*"
    assert asked(text, namespace="kvsync-system", own="kvsync-system").granted
    assert not asked(text, namespace="kvsync-system", own="").granted


def test_a_list_lets_in_whom_it_names_and_nobody_by_label() -> None:
    text = "aibrix-system/*=team,squad-*"
    assert asked(text, labelled=NO).granted
    assert asked(text, namespace="squad-7", labelled=UNKNOWN).granted
    denied = asked(text, namespace="other", labelled=YES, own="other")
    assert "--gateway aibrix-system/aibrix-gateway-plugins=other" in denied.denial


def test_grants_add_up() -> None:
    texts = ("aibrix-system/*", "*/aibrix-gateway-plugins=team")
    assert asked(*texts).granted
    assert asked(*texts, namespace="other", labelled=YES).granted
    assert not asked(*texts, namespace="other").granted


def test_all_may_be_let_in() -> None:
    assert asked("*/*=*", labelled=UNKNOWN).granted


def test_a_gateway_that_nobody_named_is_nobodys() -> None:
    denied = asked("aibrix-system/other", labelled=YES, own="team")
    assert denied.known
    assert "do not name Deployment aibrix-system/aibrix-gateway-plugins" in denied.denial


def test_what_is_not_known_is_not_allowed_and_says_what_would_settle_it() -> None:
    denied = asked("aibrix-system/*", labelled=UNKNOWN)
    assert not denied.granted
    assert not denied.known
    assert "cannot watch namespaces" in denied.denial
    assert "--gateway aibrix-system/aibrix-gateway-plugins=team" in denied.denial


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nowhere",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "a/b=",
        "a/b=c,",
        "a/b=,c",
        "a/b=c d",
        "a/b=c=d",
        "A/b",
        "a/b=[a-z]",
        "a/b=te?m",
        "a/b=c/d",
        "a-/b",
        "a/b\n",
        f"{'a' * 64}/b",
        f"a/{'b' * 254}",
    ],
)
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form NAMESPACE/NAME") as refused:
        parse_grant(text)
    assert repr(text) in str(refused.value)


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_grant_or_one_plain_error(text: str) -> None:
    try:
        grant = parse_grant(text)
    except ValueError:
        return
    written = f"{grant.gateway_namespace}/{grant.gateway}"
    assert text == "=".join([written, *([",".join(grant.namespaces)] if grant.namespaces else [])])
