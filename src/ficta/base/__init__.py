"""The words everyone shares: Spec, seeds, settings, atomic files, errors, units. No torch."""
