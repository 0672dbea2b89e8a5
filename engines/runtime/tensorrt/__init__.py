"""The TensorRT backend. Re-exports nothing: its modules load TensorRT and PyCUDA."""
