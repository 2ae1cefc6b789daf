"""The one error tree of `protocol`.

Every `reason` is a short fixed text: it never holds received bytes, keys or readings,
so that both sides may store and log it as it stands.
"""


class ProtocolError(Exception):
    """Root: input or arguments that the protocol does not allow.

    `reason` is a stable, lower-case, hyphenated text such as ``not-shortest``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CborError(ProtocolError):
    """Bytes are not one item of the allowed encoding, or an item cannot be encoded."""


class CurveError(ProtocolError):
    """A key, point, scalar or digest has the wrong size or is not on P-256."""


class CoseError(ProtocolError):
    """An envelope is not what the layer that reads it allows."""


class AuthenticityError(CoseError):
    """A well-formed envelope whose signature or MAC does not hold."""


class MessageError(ProtocolError):
    """An authentic or to-be-sent message is outside the grammar or ranges of SPEC.md."""


class ImprovError(ProtocolError):
    """A packet of Improv Serial whose content or lengths are not what they must be."""
