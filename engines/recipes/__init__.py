"""Ways of learning: networks, synthetic damage and score. Import its modules: they load PyTorch."""
