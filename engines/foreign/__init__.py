"""Models that others trained, turned into bundles. Import its modules: they load PyTorch."""
