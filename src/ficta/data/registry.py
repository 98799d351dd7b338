"""The codecs there are: one a modality; each takes the part of ``DataSettings`` that bears its name."""

from collections.abc import Mapping
from typing import Any

from ficta.base.errors import FictaError, UsageError
from ficta.base.words import nearest
from ficta.data.codec import Codec
from ficta.data.images import ImageCodec
from ficta.data.table.codec import TableCodec

CODECS: Mapping[str, type[Codec]] = {
    "image": ImageCodec,
    "table": TableCodec,
}


def codec_from_facts(facts: Mapping[str, Any]) -> Codec:
    """Make the codec that ``Codec.facts`` described (a run's codec.json).

    Raises:
        FictaError: a codec that this version does not know, or facts that are not its own.
    """
    name = str(facts.get("codec"))
    if name not in CODECS:
        raise FictaError(f"codec.json: unknown codec {name!r}: {nearest(name, CODECS)}")
    try:
        return CODECS[name].from_facts(dict(facts))
    except UsageError as error:
        raise FictaError(f"codec.json: {error}; restore it") from None
    except (KeyError, TypeError, ValueError) as error:
        raise FictaError(f"codec.json of the {name} codec is damaged ({error!r}); restore it") from None
