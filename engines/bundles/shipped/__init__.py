"""The model bundles that ship with inspectd, for the simulator. `make bundles` trains them again."""
