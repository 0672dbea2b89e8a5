"""X-ray machines that send their images by DICOM or DICONDE.

Re-exports nothing: the settings are read where pynetdicom is not installed.
"""
