"""One file for each format of image files. Re-exports nothing: pydicom is optional."""
