"""Training methods: learner, synthetic anomalies and score. Import its modules one by one: they load PyTorch."""
