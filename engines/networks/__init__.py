"""The networks and their losses. Import its modules: they load PyTorch."""
