"""Sockets and their options: what is bounded by libzmq (zmq_setsockopt(3))."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import TypeAlias

import zmq

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError

Socket: TypeAlias = "zmq.Socket[bytes]"
Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

Options: TypeAlias = "Mapping[zmq.SocketOption, int]"

NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENODEV})
"""How listening fails where there is no IPv6."""


def bound(context: Context, kind: int, address: Address, options: Options, option: str) -> Socket:
    """A socket that listens, on IPv6 too where there is any.

    Raises:
        KvsyncError: it cannot listen; the message names the command line's ``option``.
    """
    for ipv6 in (1, 0):
        socket = context.socket(kind)
        for name, value in {**options, zmq.LINGER: 0, zmq.IPV6: ipv6}.items():
            socket.setsockopt(name, value)
        try:
            socket.bind(str(address))
        except zmq.ZMQError as error:
            socket.close(0)
            if ipv6 and error.errno in NO_IPV6:
                continue
            raise KvsyncError(
                f"cannot listen on {address}: {error.strerror}. Give {option} another tcp://HOST:PORT, "
                "or end what listens there"
            ) from error
        return socket
    raise AssertionError("unreachable: the second try returned or raised")


def connected(context: Context, kind: int, address: Address, options: Options) -> Socket:
    """A socket that connects."""
    socket = context.socket(kind)
    for name, value in {**options, zmq.LINGER: 0, zmq.IPV6: 1}.items():
        socket.setsockopt(name, value)
    socket.connect(str(address))
    return socket


def take(socket: Socket) -> list[bytes] | None:
    """The next message that is there; None for none."""
    # Asked first: the exception for none costs more than most messages.
    if not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
        return None
    return socket.recv_multipart(zmq.NOBLOCK)
