"""GigE Vision and USB3 Vision cameras, by the library Aravis of the distribution.

Re-exports nothing: the settings are read where the library is not installed.
"""
