"""The one loop: recipe, phases, averaged weights, reports, verdicts, resume."""
