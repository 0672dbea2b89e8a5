"""GigE Vision, USB3 Vision and other GenICam cameras: by Aravis, or by the GenTL producer of a maker.

Re-exports nothing: the settings are read where neither is installed.
"""
