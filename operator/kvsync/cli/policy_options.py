"""Who a NetworkPolicy lets in, as the command line names them."""

from __future__ import annotations

from typing import Any

import click

from kvsync.model.network import Peer
from kvsync.model.selector import LABEL_KEY, LABEL_VALUE
from kvsync.model.spec import DNS_LABEL

FORM = "NAMESPACE/KEY=VALUE[,KEY=VALUE…]"


class Reader(click.ParamType[Peer]):
    """Pods of a namespace by their labels, all of which must hold."""

    name = "pods"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Peer:
        """The pods, or a usage error that says the form."""
        if isinstance(value, Peer):
            return value
        # A key may hold a slash of its own.
        namespace, _, text = str(value).partition("/")
        labels = dict(_label(each) for each in text.split(","))
        if not DNS_LABEL.match(namespace) or "" in labels:
            message = (
                f"{value!r} is not of the form {FORM}, such as aibrix-system/app=gateway-plugins"
            )
            self.fail(message, param, ctx)
        return Peer(namespace, {"matchLabels": labels})


def _label(text: str) -> tuple[str, str]:
    """Key and value; an empty key where it is no label."""
    key, equals, value = text.partition("=")
    good = equals and LABEL_KEY.match(key) and LABEL_VALUE.match(value)
    return (key, value) if good else ("", "")
