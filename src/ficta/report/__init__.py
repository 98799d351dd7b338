"""What stands in a run, told to a person: report.html and card.md; and runs side by side."""

from ficta.report.card import write_card
from ficta.report.compared import write_comparison
from ficta.report.page import write_report

__all__ = ["write_card", "write_comparison", "write_report"]
