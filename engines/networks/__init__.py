"""The networks and their losses. Import its modules one by one: they load PyTorch."""
