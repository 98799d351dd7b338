"""Questions a person asks of a trained model: maps, walks, reconstructions."""
