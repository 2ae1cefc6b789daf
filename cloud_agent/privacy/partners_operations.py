"""Named operations for partners: of the person whose data it is, and of operators who look after
partners and notices. JSON in, JSON out; no operation sends data.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts import agreements
from cloud_agent.accounts.asking import account_of
from cloud_agent.accounts.operators import Role, operator_of
from cloud_agent.arguments import Arguments, octets, optional_text, text
from cloud_agent.errors import NotFoundError, UsageError
from cloud_agent.operation import in_thread
from cloud_agent.privacy import disclosures, notices, partners
from cloud_agent.privacy.notices import Notice
from cloud_agent.privacy.partners import Category
from cloud_agent.privacy.requests import record, work

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service

# For anybody


def list_(service: Service, _arguments: Arguments) -> Arguments:
    """All partners, what may be given to them, and the text of the consent."""
    agreement = agreements.current(agreements.PARTNER)
    return {
        "partners": [
            {
                "id": each.id.hex(),
                "name": each.name,
                "contact": each.contact,
                "public_key": each.public_key.hex(),
            }
            for each in partners.list_partners(service)
        ],
        "categories": [each.value for each in Category],
        "consent_version": agreement.version,
        "consent_text": agreement.text,
    }


def of_request(service: Service, arguments: Arguments) -> Arguments:
    """Who was told of a request and what they answered, for whoever has its number (GDPR 19)."""
    request = record.parse_id(text(arguments, "request"))
    return _listed(notices.list_notices(service, request=request))


# Of the person


def consent(service: Service, arguments: Arguments) -> Arguments:
    """Gives a consent, for one partner and one category."""
    account = account_of(service, arguments)
    partner = partners.find(service, text(arguments, "partner"))
    version = text(arguments, "version")
    partners.give_consent(service, account, partner, _category(arguments), version)
    return {"partner": partner.name}


def withdraw(service: Service, arguments: Arguments) -> Arguments:
    """Takes consents back, at once: for a partner, or for one category of it."""
    account = account_of(service, arguments)
    partner = partners.find(service, text(arguments, "partner"))
    only = None if optional_text(arguments, "category") is None else _category(arguments)
    return {"withdrawn": partners.withdraw(service, account, partner, only)}


def disclosed(service: Service, arguments: Arguments) -> Arguments:
    """Who was given what of the person, by which consent, and who was told of what."""
    account = account_of(service, arguments, reads="disclosures")
    return disclosures.describe(service, account.subject)


# Of operators


def add(service: Service, arguments: Arguments) -> Arguments:
    """A new partner, with the key that its answers are checked by."""
    operator_of(service, arguments, Role.PRIVACY)
    name, contact = text(arguments, "name"), text(arguments, "contact")
    return {"id": partners.add(service, name, contact, octets(arguments, "public_key")).id.hex()}


def open_notices(service: Service, arguments: Arguments) -> Arguments:
    """Notices that wait for a partner, or every one."""
    operator_of(service, arguments, Role.CLERK)
    return _listed(notices.list_notices(service, every=arguments.get("all") is True))


def hand_over(service: Service, arguments: Arguments) -> Arguments:
    """What goes to the partner, and how it answers; noted as sent."""
    operator_of(service, arguments, Role.CLERK)
    notice = notices.hand_over(service, octets(arguments, "notice"))
    return {
        "notice": notice.id.hex(),
        "to": notice.contact,
        "person": notice.pseudonym.hex(),
        "what": notice.kind.value,
        "answers": [notices.answer_text(notice, each) for each in notices.OUTCOMES[notice.kind]],
    }


def answer(service: Service, arguments: Arguments) -> Arguments:
    """The partner's signed answer, or (`impossible`) why there is none."""
    operator_of(service, arguments, Role.CLERK)
    number = octets(arguments, "notice")
    reason = optional_text(arguments, "impossible")
    if reason is not None:
        notice = notices.give_up(service, number, reason)
    else:
        outcome, signature = text(arguments, "outcome"), octets(arguments, "signature")
        notice = notices.answer(service, number, outcome, signature)
    with contextlib.suppress(NotFoundError):  # a change by the person, and no request
        work.finish_if_shown(service, notice.request)
    return notices.described(notice)


def _listed(found: list[Notice]) -> Arguments:
    return {"notices": [notices.described(each) for each in found]}


def _category(arguments: Arguments) -> Category:
    value = text(arguments, "category")
    if value not in list(Category):
        raise UsageError(f"category is one of {', '.join(Category)}")
    return Category(value)


OPERATIONS: Final[dict[str, Operation]] = {
    "partner.list": in_thread(list_),
    "partner.of-request": in_thread(of_request),
    "partner.consent": in_thread(consent),
    "partner.withdraw": in_thread(withdraw),
    "partner.disclosures": in_thread(disclosed),
    "partner.add": in_thread(add),
    "partner.notices": in_thread(open_notices),
    "partner.hand-over": in_thread(hand_over),
    "partner.answer": in_thread(answer),
}
