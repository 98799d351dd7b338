"""Fill in a page: one style, no scripts, nothing that is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from ficta.report.words import sentence

OPTION = re.compile(r"--[a-z][a-z-]*(?: [\w.…]+=[\w.…]*[\w…]| \d+)?")


def render(name: str, content: Mapping[str, Any]) -> str:
    """The page that a template of this folder makes of its content; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "options_marked": options_marked}
    return environment.get_template(name).render(content)


def options_marked(text: str) -> markupsafe.Markup:
    """Text in which options such as ``--set train.decay=cosine`` stand as code that is not broken over lines."""
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(OPTION.sub(r"<code>\g<0></code>", escaped))  # escaped one line above
