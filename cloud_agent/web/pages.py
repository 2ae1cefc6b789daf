"""What a page shows. Text is escaped by the templates; no page holds a reading."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import jinja2
from starlette.responses import HTMLResponse

from cloud_agent.privacy import register as registers

if TYPE_CHECKING:
    from cloud_agent.privacy.register import Controller

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("cloud_agent.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of a template of the folder `templates`."""
    values = {"style": "", **values}
    return HTMLResponse(_TEMPLATES.get_template(f"{template}.html").render(values), status)


def register(controller: Controller, *, with_style: bool = False) -> str:
    """The register of processing as a page. `with_style`: for a file that stands alone."""
    style = _style() if with_style else ""
    return _TEMPLATES.get_template("register.html").render(
        controller=controller,
        activities=registers.activities(),
        people=registers.PEOPLE,
        recipients=registers.RECIPIENTS,
        measures=registers.MEASURES,
        history=registers.HISTORY,
        style=style,
    )


def _style() -> str:
    file = resources.files("cloud_agent.web") / "static" / "style.css"
    return file.read_text(encoding="utf-8")


def message(title: str, text: str, *, status: int = 200) -> HTMLResponse:
    """A page with nothing to do but to read it."""
    return page("message", status=status, title=title, text=text)
