"""The model, from training to inference."""

import os

# ONNX Runtime from 1.29 on sends usage data to its maker and leaves an identifier in the user's home, unless it is told
# not to before it is loaded. An inspector talks to nobody but its broker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
