"""Device, autocast, memory formats, seeded noise, Adam, collectives, tensor files: all that touches the machine."""
