"""The run folder: create, open, list, lock; each file in it has one writer, through here."""
