"""The testbed: a real control plane and pods that are real processes."""
