"""The relay without its sockets: what is resident, what is said of it, and in which order.

Here belongs what turns the stream of any engine into one that every gateway decodes and that mends
itself (docs/decisions/0007-the-relay.md). Pure: the time is an argument.
"""
