"""DER in the shape of a certificate; who signed it is for TLS to judge."""

_ALGORITHM = b"\x30\x13\x06\x07*\x86H\xce=\x02\x01\x06\x08*\x86H\xce=\x03\x01\x07"


def _der(tag, *parts):
    content = b"".join(parts)
    if len(content) < 128:
        return bytes((tag, len(content))) + content
    return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content


def certificate_for(public, name, names=1):
    """For this P-256 public key (64 bytes) and common name, that many times."""
    attribute = _der(0x30, b"\x06\x03\x55\x04\x03", _der(0x0C, name.encode()))
    subject = _der(0x30, *[_der(0x31, attribute)] * names)
    key = _der(0x30, _ALGORITHM, _der(0x03, b"\x00\x04" + public))
    fields = [
        _der(0xA0, b"\x02\x01\x02"),
        b"\x02\x01\x05",
        _der(0x30, b""),
        subject,
        _der(0x30, b""),
        subject,
        key,
    ]
    return _der(0x30, _der(0x30, *fields), _der(0x30, b""), _der(0x03, b"\x00s"))
