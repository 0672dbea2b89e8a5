"""GANomaly beside other systems. Import its modules: they load PyTorch and matplotlib."""
