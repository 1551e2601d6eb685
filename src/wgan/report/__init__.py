"""The report of a run: one HTML file without scripts that opens offline."""

from wgan.report.page import write_report

__all__ = ["write_report"]
