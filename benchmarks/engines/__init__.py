"""Compares the engines on one machine with the same bundle and the same frames."""
