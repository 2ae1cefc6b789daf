"""What every request passes: where it comes from, how long it is, what the answer may do."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_agent.web import pages

MAX_BODY: Final = 16 * 1024

# No script at all, nothing from elsewhere, in nobody's frame. The links hold what opens them:
# they go to no other place, into no cache, and into no history of another site.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MOST_DIGITS: Final = 9
# Between two pieces of a body.
_BODY_S: Final = 10.0
_CHANGES_NOTHING: Final = {"GET", "HEAD"}


class Guard:
    """ASGI middleware around all pages."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on and adds the headers."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        headers = Headers(scope=scope)
        if scope["method"] not in _CHANGES_NOTHING and not comes_from_here(headers):
            refusal = pages.message("Refused", "This came from another site.", status=403)
            await refusal(scope, receive, send_guarded)
            return
        if _length(headers) > MAX_BODY:
            refusal = pages.message("Refused", "This is too much.", status=413)
            await refusal(scope, receive, send_guarded)
            return
        await self._application(scope, _limited(receive), send_guarded)


def comes_from_here(headers: Headers) -> bool:
    """Whether a form was sent from one of our own pages: Sec-Fetch-Site, else Origin, else no."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    host = headers.get("host", "")
    return origin is not None and bool(host) and origin.partition("://")[2] == host


def _length(headers: Headers) -> int:
    # A body without a length is counted as it comes.
    text = headers.get("content-length", "0")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else MAX_BODY + 1


def _limited(receive: Receive) -> Receive:
    taken = 0

    async def receive_limited() -> Message:
        nonlocal taken
        try:
            message = await asyncio.wait_for(receive(), _BODY_S)
        except TimeoutError:
            return {"type": "http.disconnect"}
        taken += len(message.get("body", b""))
        if taken > MAX_BODY:
            return {"type": "http.disconnect"}
        return message

    return receive_limited
