"""Device, autocast, memory formats, seeded noise, collectives, tensor files: all that touches the machine."""
