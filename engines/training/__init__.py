"""From good images to a bundle. Import its modules: they load PyTorch."""
