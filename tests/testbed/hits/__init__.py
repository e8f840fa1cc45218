"""How much of what engines hold a gateway knows: set up, asked, measured.

Here belongs what the stories of the relay and the table of docs/relay.md share. The gateway's own
index is asked, and engines are asked what they hold; nothing of kvsync is imported.
"""
