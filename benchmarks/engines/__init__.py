"""The engines on one machine: same bundle, same frames, one run."""
