"""From good images to a bundle. Import its modules one by one: they load PyTorch."""
