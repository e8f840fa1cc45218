"""The client's side of ZMTP 3 (https://rfc.zeromq.org/spec/37), without sockets: bytes in, bytes out.

Here belongs what one connection to a stranger's socket says and holds, bounded by construction.
libzmq bounds neither the parts of a message nor the sum over connections
(docs/decisions/0006-an-own-zmtp-client.md).
"""
