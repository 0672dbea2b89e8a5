"""Cameras by the GenTL producer (`.cti`) of their maker. Re-exports nothing: it needs the extra genicam."""
