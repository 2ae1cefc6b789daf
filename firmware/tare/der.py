"""The little DER that a device needs: its TLS key for mbedtls, and two looks into a certificate.

Pure. Reading refuses what is not well formed; it proves nothing about signatures.
"""

from tare.errors import EnrolmentError

_BIT_STRING = 0x03
_CONTEXT_0 = 0xA0
_OID_COMMON_NAME = b"\x06\x03\x55\x04\x03"
_MAX_DEPTH_FIELDS = 16
# SEC 1 C.4 with curve P-256 (RFC 5915): version 1, the key, the curve, the public point.
_EC_KEY_HEAD = b"\x30\x77\x02\x01\x01\x04\x20"
_EC_KEY_MIDDLE = b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\xa1\x44\x03\x42\x00\x04"
# RFC 5480: id-ecPublicKey on P-256.
_EC_ALGORITHM = (
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
)


def private_key(private: bytes, public: bytes) -> bytes:
    """Return a P-256 key pair (32 and 64 bytes) as DER that TLS libraries load."""
    return _EC_KEY_HEAD + private + _EC_KEY_MIDDLE + public


def certificate_key_and_name(certificate: bytes) -> tuple[bytes, str]:
    """Return the P-256 public key (64 bytes) and the common name that a certificate is for."""
    (_, whole), *rest = _fields(certificate)
    if rest:
        raise EnrolmentError("bytes behind the certificate")
    to_be_signed = _fields(whole)[0][1]
    fields = _fields(to_be_signed)
    if fields and fields[0][0] == _CONTEXT_0:
        fields = fields[1:]  # the version
    # serial, signature algorithm, issuer, validity, subject, key
    if len(fields) < 6:
        raise EnrolmentError("certificate too short")
    return _key(fields[5][1]), _common_name(fields[4][1])


def _key(info: bytes) -> bytes:
    if info[: len(_EC_ALGORITHM)] != _EC_ALGORITHM:
        raise EnrolmentError("certificate for another kind of key")
    tag, bits = _fields(info[len(_EC_ALGORITHM) :])[0]
    if tag != _BIT_STRING or len(bits) != 66 or bits[:2] != b"\x00\x04":
        raise EnrolmentError("certificate key in another form")
    return bits[2:]


def _common_name(subject: bytes) -> str:
    names = []
    for _, relative in _fields(subject):
        for _, attribute in _fields(relative):
            if attribute[: len(_OID_COMMON_NAME)] == _OID_COMMON_NAME:
                names.append(_fields(attribute[len(_OID_COMMON_NAME) :])[0][1])
    if len(names) != 1:
        raise EnrolmentError("certificate without one name")
    try:
        return str(names[0], "ascii")
    except UnicodeError:
        raise EnrolmentError("certificate name is not text")


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Split a constructed value into its (tag, content) fields."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data) or len(found) == _MAX_DEPTH_FIELDS:
            raise EnrolmentError("certificate malformed")
        size, start = _length(data, at + 1)
        if start + size > len(data):
            raise EnrolmentError("certificate cut short")
        found.append((data[at], data[start : start + size]))
        at = start + size
    if not found:
        raise EnrolmentError("certificate malformed")
    return found


def _length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if count not in {1, 2} or at + 1 + count > len(data):
        raise EnrolmentError("certificate malformed")
    return int.from_bytes(data[at + 1 : at + 1 + count], "big"), at + 1 + count
