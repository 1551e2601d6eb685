"""A run's record as one HTML file that opens offline, runs no script, and shows what the run learnt."""

from wgan.report.page import write_report

__all__ = ["write_report"]
