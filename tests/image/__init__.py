"""The container image without a container: the Dockerfile's steps in a folder, and what they install."""
