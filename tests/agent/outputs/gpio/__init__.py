"""Tests of digital lines."""
