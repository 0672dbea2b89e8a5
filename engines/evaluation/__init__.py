"""Figures, curves and a report for one model. Import its modules: some load matplotlib."""
