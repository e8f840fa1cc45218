"""The real Helm, for stories about releases."""
