"""What a page shows. Text is escaped by the templates; no page holds a reading."""

from __future__ import annotations

from typing import Any, Final

import jinja2
from starlette.responses import HTMLResponse

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("cloud_agent.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of a template of the folder `templates`."""
    return HTMLResponse(_TEMPLATES.get_template(f"{template}.html").render(values), status)


def message(title: str, text: str, *, status: int = 200) -> HTMLResponse:
    """A page with nothing to do but to read it."""
    return page("message", status=status, title=title, text=text)
