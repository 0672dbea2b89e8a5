"""Models trained elsewhere, converted to bundles. Import its modules one by one: they load PyTorch."""
