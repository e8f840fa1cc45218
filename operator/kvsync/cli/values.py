"""What values of options may be; apart from ``options``, for the relay has no room for asyncio."""

from __future__ import annotations

from typing import Any

import click

from kvsync.model.address import (
    Address,
    HttpAddress,
    parse_address,
    parse_bind_address,
    parse_http_address,
    parse_listen_address,
)
from kvsync.model.duration import parse_duration


class Duration(click.ParamType[float]):
    """A duration such as ``90s``, ``30m`` or ``1h30m``, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds, or a usage error that says the form."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is no duration such as 30m: {error}", param, ctx)


class SourceAddress(click.ParamType[Address]):
    """Where a publisher listens: ``tcp://HOST:PORT``."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """The address, or a usage error that says the form."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class BindAddress(click.ParamType[Address | None]):
    """Where a ZMQ socket listens: ``tcp://HOST:PORT``, also with ``*`` as host."""

    name = "address"

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address | None:
        """The address, None for ``off`` where that may be, or a usage error that says the form."""
        if isinstance(value, Address):
            return value
        if self._optional and value == "off":
            return None
        try:
            return parse_bind_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ListenAddress(click.ParamType[Address | None]):
    """Where to listen: ``HOST:PORT``."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address | None:
        """The address, None for ``off`` or an empty text, or a usage error that says the form."""
        if isinstance(value, Address):
            return value
        try:
            return None if value in {"", "off"} else parse_listen_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PageAddress(click.ParamType[HttpAddress | None]):
    """A page of a program nearby: ``http://IP:PORT/PATH``."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> HttpAddress | None:
        """The page, None for ``off``, or a usage error that says the form."""
        if isinstance(value, HttpAddress):
            return value
        try:
            return None if value == "off" else parse_http_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
