"""Cameras by the library Aravis of the distribution. Re-exports nothing: it is loaded when a camera is opened."""
