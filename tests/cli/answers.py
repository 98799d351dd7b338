"""What calls of the command line give."""

import json
from typing import Any


class Ficta:
    """What a call of the command line gives, for annotations."""

    code: int
    out: str
    err: str


def one_object(done: Ficta) -> dict[str, Any]:
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert isinstance(content, dict)
    return content
