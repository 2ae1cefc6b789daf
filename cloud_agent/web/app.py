"""The pages behind the links of letters: confirm a request, choose a password, confirm an address.

Opening a link shows and changes nothing, because programs that look after mail open links too;
the button does it. Each calls the services that the commands call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cloud_agent.accounts import changes, tokens
from cloud_agent.accounts.tokens import Kind
from cloud_agent.errors import RefusedError, TareError, UsageError
from cloud_agent.privacy.register import read_controller
from cloud_agent.privacy.requests import operations as requests
from cloud_agent.web import pages
from cloud_agent.web.guard import Guard

if TYPE_CHECKING:
    from cloud_agent.service import Service

Handler = Callable[[Request], Awaitable[Response]]

_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404


def application(service: Service) -> Starlette:
    """The ASGI application for one installation."""
    links = Links(service)
    return Starlette(
        routes=[
            Route("/", _front),
            Route("/request/{code}", links.show_request, methods=["GET"]),
            Route("/request/{code}", links.confirm_request, methods=["POST"]),
            Route("/recover/{code}", links.show_recovery, methods=["GET"]),
            Route("/recover/{code}", links.recover, methods=["POST"]),
            Route("/address/{code}", links.show_address, methods=["GET"]),
            Route("/address/{code}", links.confirm_address, methods=["POST"]),
            Route("/legal/register", links.register),
            Mount("/static", StaticFiles(packages=[("cloud_agent.web", "static")])),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={TareError: _said, HTTPException: _not_here, ClientDisconnect: _gone},
    )


class Links:
    """What the links of letters lead to."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show_request(self, request: Request) -> Response:
        """What the link would confirm."""
        arguments = {"code": request.path_params["code"]}
        shown = await asyncio.to_thread(requests.show, self._service, arguments)
        return pages.page(
            "request",
            what=shown["what"],
            number=shown["request"],
            is_final=shown["cannot_be_undone"],
        )

    async def confirm_request(self, request: Request) -> Response:
        """The button under it."""
        arguments = {"code": request.path_params["code"]}
        done = await asyncio.to_thread(requests.confirm, self._service, arguments)
        return pages.page("confirmed", done=done)

    async def show_recovery(self, request: Request) -> Response:
        """The form for a new password."""
        await self._find(request, Kind.RECOVERY)
        return pages.page("password", problem="")

    async def recover(self, request: Request) -> Response:
        """The form, filled in."""
        form = await _form(request)
        first, second = form.get("password", ""), form.get("again", "")
        code = request.path_params["code"]
        await self._find(request, Kind.RECOVERY)
        if first != second:
            return _again("The two passwords are not the same.")
        try:
            await asyncio.to_thread(changes.recover, self._service, code, first)
        except RefusedError:
            raise
        except TareError as error:
            return _again(f"{error}.")
        return pages.message("Your password is changed", "Everybody was signed out. Sign in anew.")

    async def show_address(self, request: Request) -> Response:
        """The question whether this address is theirs."""
        await self._find(request, Kind.ADDRESS)
        return pages.page("address")

    async def confirm_address(self, request: Request) -> Response:
        """It is."""
        code = request.path_params["code"]
        await asyncio.to_thread(changes.confirm_address, self._service, code)
        return pages.message("Your address is changed", "Letters go to it from now on.")

    async def register(self, _request: Request) -> Response:
        """What is processed here, for anybody."""
        controller = await asyncio.to_thread(read_controller, self._service.folder.controller)
        return HTMLResponse(pages.register(controller))

    async def _find(self, request: Request, kind: Kind) -> None:
        code, now_s = request.path_params["code"], self._service.now()
        await asyncio.to_thread(tokens.find, self._service.vault.store, kind, code, now_s)


async def _front(_request: Request) -> Response:
    return pages.message(
        "Tare", "This is where the links in our letters lead. Commands begin with tare --help."
    )


async def _form(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=16)
    except ValueError as error:
        raise UsageError("a form has at most 16 fields") from error
    return {name: values[-1] for name, values in fields.items()}


def _again(problem: str) -> Response:
    return pages.page("password", status=_BAD_REQUEST, problem=problem)


async def _said(_request: Request, error: Exception) -> Response:
    status = 403 if isinstance(error, RefusedError) else _BAD_REQUEST
    return pages.message("That did not work", f"{error}.", status=status)


async def _not_here(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else _BAD_REQUEST
    text = "There is no such page." if status == _NOT_FOUND else "This cannot be done here."
    return pages.message("Not here", text, status=status)


async def _gone(_request: Request, _error: Exception) -> Response:
    return pages.message("Refused", "This is too much.", status=413)
