"""Randomness as a function of names and numbers, so that nothing depends on what was drawn before."""

import hashlib


def mix(*parts: int | str) -> int:
    """Seed from any number of parts, e.g. ``mix(seed, "order", epoch)``.

    Args:
        parts: integers and strings; their order and types matter.

    Returns:
        An integer in [0, 2**63).
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
