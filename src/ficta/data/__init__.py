"""Bytes, units and licences change per modality; models must not care. Sources, codecs, splits, batches."""
