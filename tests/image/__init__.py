"""The container image without a container: the Dockerfile's steps in an empty folder, and what they install."""
