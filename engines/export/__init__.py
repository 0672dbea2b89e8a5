"""From networks to ONNX, and rewrites of the graph. Import its modules one by one: they load PyTorch and ONNX."""
