"""Figures, curves and a report for one model. Import its modules one by one: the report needs matplotlib."""
