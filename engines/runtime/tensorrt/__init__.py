"""The TensorRT backend. Import its modules: they load TensorRT and PyCUDA."""
