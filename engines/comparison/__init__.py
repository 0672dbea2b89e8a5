"""GANomaly next to other methods. Import its modules one by one: they load PyTorch and matplotlib."""
