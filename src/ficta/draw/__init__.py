"""Arrays in, pictures out: sheets, plots, animations. No model, no torch."""
