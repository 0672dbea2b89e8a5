"""The model, from training to inference."""

import os

# From 1.29 on, ONNX Runtime sends usage data to its maker and writes an identifier to the user's home directory, unless
# this variable is set before it is loaded. The agent sends data to its broker only.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
