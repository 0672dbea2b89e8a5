"""Measures the results of parts: whether any is lost, how long one takes, and how many a device judges."""
