"""The model, from training to inference."""
