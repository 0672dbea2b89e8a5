"""The service on the device: frames in, alarms out."""
