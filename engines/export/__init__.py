"""From networks to ONNX, and rewrites of the graph. Import its modules: they load PyTorch and ONNX."""
