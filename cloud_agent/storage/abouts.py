"""The annotations that the tables share, one for each sort of column."""

from __future__ import annotations

from typing import Final

from cloud_agent.storage.annotations import About, Basis, Category, Link, Purpose, Retention

TECHNICAL: Final = About(
    Category.TECHNICAL, Purpose.SECURITY, Basis.NOT_PERSONAL, Retention.DEVICE, Link.NONE
)
PERSON_ID: Final = About(
    Category.IDENTIFIER, Purpose.ACCOUNT, Basis.CONTRACT, Retention.ACCOUNT, Link.IS_PERSON
)
OWNED: Final = About(
    Category.IDENTIFIER, Purpose.READINGS, Basis.CONTRACT, Retention.ACCOUNT, Link.ROW
)
ACCOUNT: Final = About(
    Category.IDENTIFIER, Purpose.ACCOUNT, Basis.CONTRACT, Retention.ACCOUNT, Link.ROW
)
PREFERENCE: Final = About(
    Category.PREFERENCE, Purpose.READINGS, Basis.CONTRACT, Retention.ACCOUNT, Link.ROW
)
CONTACT: Final = About(
    Category.CONTACT, Purpose.ACCOUNT, Basis.CONTRACT, Retention.ACCOUNT, Link.ROW
)
AGREEMENT: Final = About(
    Category.AGREEMENT, Purpose.ACCOUNTABILITY, Basis.OBLIGATION, Retention.ACCOUNT, Link.ROW
)
CREDENTIAL: Final = About(
    Category.CREDENTIAL, Purpose.SECURITY, Basis.CONTRACT, Retention.ACCOUNT, Link.ROW
)
EXPORT: Final = About(Category.RECORD, Purpose.ACCOUNT, Basis.OBLIGATION, Retention.DAY, Link.ROW)
DEVICE: Final = About(
    Category.DEVICE, Purpose.TRANSPORT, Basis.CONTRACT, Retention.DEVICE, Link.CLAIM
)
DEVICE_SECRET: Final = About(
    Category.CREDENTIAL, Purpose.SECURITY, Basis.CONTRACT, Retention.DEVICE, Link.CLAIM
)
CLAIM: Final = About(Category.DEVICE, Purpose.READINGS, Basis.CONTRACT, Retention.CLAIM, Link.CLAIM)
WINDOW: Final = About(
    Category.DEVICE, Purpose.SECURITY, Basis.CONTRACT, Retention.MINUTES, Link.NONE
)
COMMAND: Final = About(
    Category.DEVICE, Purpose.ACCOUNTABILITY, Basis.CONTRACT, Retention.EVIDENCE, Link.CLAIM
)
READING_META: Final = About(
    Category.HEALTH, Purpose.READINGS, Basis.HEALTH_CONSENT, Retention.CONSENT, Link.ROW
)
HEALTH: Final = About(
    Category.HEALTH, Purpose.READINGS, Basis.HEALTH_CONSENT, Retention.CONSENT, Link.ROW
)
INGEST: Final = About(
    Category.DEVICE, Purpose.TRANSPORT, Basis.INTEREST, Retention.DEVICE, Link.CLAIM
)
DIGEST: Final = About(
    Category.HEALTH, Purpose.TRANSPORT, Basis.HEALTH_CONSENT, Retention.ACCOUNT, Link.ROW
)
REFUSED: Final = About(
    Category.TECHNICAL, Purpose.SECURITY, Basis.INTEREST, Retention.QUARTER, Link.NONE
)
ERASURE: Final = About(
    Category.TECHNICAL, Purpose.ACCOUNTABILITY, Basis.OBLIGATION, Retention.EVIDENCE, Link.NONE
)
LETTER: Final = About(Category.RECORD, Purpose.ACCOUNT, Basis.CONTRACT, Retention.MONTH, Link.ROW)
LETTER_TEXT: Final = About(
    Category.CONTACT, Purpose.ACCOUNT, Basis.CONTRACT, Retention.MONTH, Link.ROW
)
REQUEST: Final = About(
    Category.RECORD,
    Purpose.ACCOUNTABILITY,
    Basis.OBLIGATION,
    Retention.LIMITATION,
    Link.ROW,
)
REQUEST_TEXT: Final = About(
    Category.CONTACT, Purpose.ACCOUNTABILITY, Basis.OBLIGATION, Retention.CLOSED, Link.ROW
)
RIGHT: Final = About(
    Category.PREFERENCE, Purpose.ACCOUNTABILITY, Basis.OBLIGATION, Retention.ACCOUNT, Link.ROW
)
ACCESS: Final = About(Category.RECORD, Purpose.SECURITY, Basis.OBLIGATION, Retention.YEAR, Link.ROW)
BREACH: Final = About(
    Category.TECHNICAL, Purpose.ACCOUNTABILITY, Basis.OBLIGATION, Retention.LIMITATION, Link.NONE
)
OPERATOR: Final = About(
    Category.CREDENTIAL, Purpose.SECURITY, Basis.CONTRACT, Retention.WORK, Link.NONE
)
PARTNER: Final = About(
    Category.CONTACT, Purpose.SHARING, Basis.INTEREST, Retention.PARTNER, Link.NONE
)
PARTNER_CONSENT: Final = About(
    Category.AGREEMENT, Purpose.SHARING, Basis.HEALTH_CONSENT, Retention.ACCOUNT, Link.ROW
)
DISCLOSURE: Final = About(
    Category.RECORD, Purpose.SHARING, Basis.HEALTH_CONSENT, Retention.ACCOUNT, Link.ROW
)
NOTICE: Final = About(
    Category.RECORD, Purpose.SHARING, Basis.OBLIGATION, Retention.LIMITATION, Link.NONE
)
ACCESS_OF_ERASED: Final = About(
    Category.RECORD, Purpose.SECURITY, Basis.OBLIGATION, Retention.YEAR, Link.NONE
)
