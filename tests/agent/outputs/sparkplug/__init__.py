"""Tests of the Sparkplug B output."""
