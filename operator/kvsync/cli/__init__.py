"""The kvsync command: one module a command. Decides nothing itself."""
