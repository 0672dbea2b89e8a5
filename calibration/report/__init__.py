"""A calibration as an HTML page."""

from calibration.report.report import report_html

__all__ = ["report_html"]
