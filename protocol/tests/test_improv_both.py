"""Improv Serial: packets as others send them, strict lengths, and a decoder that noise cannot fool.

The checksums of the packets below were added up outside of this project (awk), that of the first
was seen on other people's wire.
"""

import random

from protocol import improv
from protocol.errors import ImprovError
from protocol.improv import Decoder, Packet
from protocol.tests.support import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_GET_STATE = bytes.fromhex("494D50524F560103020200E50A")
_HEADER = "494d50524f5601"
_WIFI = "0320011e0c4d79576972656c6573734150106d7973656375726570617373776f7264c1"
_INFO = (
    "0444034207455350486f6d6509323032312e31312e301b65737033322d73332d6465766b6974632d31"
    "2f65737033322d73331354656d7065726174757265204d6f6e69746f7207"
)
_NETWORK = "041c041a114d79576972656c6573734e6574776f726b032d363003594553b5"


def _wire(text: str) -> bytes:
    return bytes.fromhex(_HEADER + text) + b"\n"


#: What is written, and the function that writes it.
_GOLDEN: "tuple[tuple[bytes, Callable[[], bytes]], ...]" = (
    (_GET_STATE, lambda: improv.rpc(improv.GET_STATE)),
    (_wire("03020300e6"), lambda: improv.rpc(improv.DEVICE_INFO)),
    (_wire("03020400e7"), lambda: improv.rpc(improv.SCAN)),
    (_wire("03020500e8"), lambda: improv.rpc(improv.HOSTNAME)),
    (_wire("030905077363616c652d3762"), lambda: improv.rpc(improv.HOSTNAME, b"scale-7")),
    (_wire(_WIFI), lambda: improv.wifi_settings(b"MyWirelessAP", b"mysecurepassword")),
    (_wire("010102e2"), lambda: improv.state(improv.READY)),
    (_wire("010103e3"), lambda: improv.state(improv.PROVISIONING)),
    (_wire("010104e4"), lambda: improv.state(improv.PROVISIONED)),
    (_wire("020100e1"), lambda: improv.error(improv.NO_ERROR)),
    (_wire("020101e2"), lambda: improv.error(improv.INVALID_RPC)),
    (_wire("020102e3"), lambda: improv.error(improv.UNKNOWN_RPC)),
    (_wire("020103e4"), lambda: improv.error(improv.UNABLE_TO_CONNECT)),
    (_wire("020105e6"), lambda: improv.error(improv.BAD_HOSTNAME)),
    (_wire("0201ffe0"), lambda: improv.error(improv.UNKNOWN_ERROR)),
    (_wire("04020100e5"), lambda: improv.result(improv.WIFI_SETTINGS, [])),
    (_wire("04020400e8"), lambda: improv.result(improv.SCAN, ())),
    (
        _wire(_INFO),
        lambda: improv.result(
            improv.DEVICE_INFO,
            [b"ESPHome", b"2021.11.0", b"esp32-s3-devkitc-1/esp32-s3", b"Temperature Monitor"],
        ),
    ),
    (
        _wire(_NETWORK),
        lambda: improv.result(improv.SCAN, [b"MyWirelessNetwork", b"-60", b"YES"]),
    ),
)


def _one(data: bytes) -> Packet:
    found = Decoder().feed(data, 0)
    assert len(found) == 1
    packet = found[0]
    assert isinstance(packet, Packet)
    return packet


def _seen(found: "list[Packet | bytes]") -> list[object]:
    return [(each.kind, each.data) if isinstance(each, Packet) else each for each in found]


def test_packets_are_written_and_read_as_others_do() -> None:
    for wire, written in _GOLDEN:
        assert written() == wire
        packet = _one(wire)
        assert improv.encode(packet.kind, packet.data) == wire


def test_what_a_packet_says_is_read() -> None:
    assert improv.parse_rpc(_one(_GET_STATE)) == (improv.GET_STATE, b"")
    command, payload = improv.parse_rpc(_one(_wire(_WIFI)))
    assert command == improv.WIFI_SETTINGS
    assert improv.parse_wifi_settings(payload) == (b"MyWirelessAP", b"mysecurepassword")
    assert improv.parse_hostname(improv.parse_rpc(_one(_GOLDEN[4][0]))[1]) == "scale-7"
    assert improv.parse_state(_one(_wire("010103e3"))) == improv.PROVISIONING
    assert improv.parse_error(_one(_wire("0201ffe0"))) == improv.UNKNOWN_ERROR
    assert improv.parse_result(_one(_wire(_NETWORK))) == (
        improv.SCAN,
        [b"MyWirelessNetwork", b"-60", b"YES"],
    )
    assert improv.parse_result(_one(_wire("04020100e5"))) == (improv.WIFI_SETTINGS, [])


def test_an_rpc_whose_length_is_not_that_of_its_data_is_refused() -> None:
    for length in range(9):
        for claimed in range(256):
            packet = Packet(improv.RPC, bytes((improv.WIFI_SETTINGS, claimed)) + bytes(length))
            answer = Packet(improv.RPC_RESULT, bytes((1, claimed)) + bytes(length))
            if claimed == length:
                assert improv.parse_rpc(packet) == (1, bytes(length))
                assert improv.parse_result(answer) == (1, [b""] * length)
                continue
            assert refusal(ImprovError, improv.parse_rpc, packet) == "improv-length"
            assert refusal(ImprovError, improv.parse_result, answer) == "improv-length"
    for data in (b"", b"\x02"):
        assert refusal(ImprovError, improv.parse_rpc, Packet(improv.RPC, data)) == "improv-length"


def test_every_wrong_length_inside_wifi_settings_is_refused() -> None:
    """Also the one that lets a parser of others read a byte behind the end."""
    taken = []
    for first in range(256):
        for second in range(256):
            payload = bytes((first,)) + b"home" + bytes((second,)) + b"password"
            try:
                taken.append((first, second, improv.parse_wifi_settings(payload)))
            except ImprovError:
                continue
    # The whole is one string too few, or the two that were meant; nothing else adds up.
    assert taken == [(4, 8, (b"home", b"password"))]
    for payload in (b"", b"\x04home", b"\x05home", b"\x00\x00", b"\x04home\x01a\x00", b"\x01a\x01"):
        refusal(ImprovError, improv.parse_wifi_settings, payload)


def test_names_and_passwords_have_their_bounds() -> None:
    for ssid, password in ((b"s" * 32, b"p" * 64), (b"s", b""), (b"\xff\x00", b"\x00")):
        payload = improv.parse_rpc(_one(improv.wifi_settings(ssid, password)))[1]
        assert improv.parse_wifi_settings(payload) == (ssid, password)
    for ssid, password in ((b"", b"p"), (b"s" * 33, b"p"), (b"s", b"p" * 65)):
        assert refusal(ImprovError, improv.wifi_settings, ssid, password) == "improv-wifi"
        payload = bytes((len(ssid),)) + ssid + bytes((len(password),)) + password
        assert refusal(ImprovError, improv.parse_wifi_settings, payload) == "improv-wifi"


def test_hostnames_are_labels_of_rfc_1123() -> None:
    for name in ("a", "9", "scale-7", "A" * 63, "a--b"):
        assert improv.parse_hostname(name.encode()) == name
    bad = (
        b"",
        b"-a",
        b"a-",
        b"-",
        b"a.b",
        b"a_b",
        b"a b",
        b"a\n",
        b"\x00",
        "ä".encode(),
        b"a" * 64,
    )
    for payload in bad:
        assert refusal(ImprovError, improv.parse_hostname, payload) == "improv-hostname"


def test_states_and_errors_are_those_of_the_serial_line() -> None:
    for value in range(256):
        for write, read, kind, known in (
            (improv.state, improv.parse_state, improv.CURRENT_STATE, (2, 3, 4)),
            (improv.error, improv.parse_error, improv.ERROR_STATE, (0, 1, 2, 3, 5, 255)),
        ):
            packet = Packet(kind, bytes((value,)))
            if value in known:
                assert read(packet) == value == read(_one(write(value)))
            else:
                refusal(ImprovError, write, value)
                refusal(ImprovError, read, packet)
    for packet in (Packet(1, b""), Packet(1, b"\x02\x02"), Packet(2, b"\x02")):
        refusal(ImprovError, improv.parse_state, packet)
    assert refusal(ImprovError, improv.parse_rpc, Packet(4, b"\x01\x00")) == "improv-type"
    assert refusal(ImprovError, improv.parse_result, Packet(3, b"\x01\x00")) == "improv-type"


def test_what_does_not_fit_is_not_written() -> None:
    longest = b"x" * 252
    assert improv.parse_result(_one(improv.result(5, [longest]))) == (5, [longest])
    assert improv.parse_rpc(_one(improv.rpc(9, longest + b"x"))) == (9, longest + b"x")
    for write in (
        lambda: improv.result(5, [longest + b"x"]),
        lambda: improv.result(5, [longest, b""]),
        lambda: improv.rpc(5, longest + b"xx"),
        lambda: improv.encode(3, bytes(256)),
    ):
        assert refusal(ImprovError, write) == "improv-length"


def test_lines_and_packets_come_out_in_order() -> None:
    decoder = Decoder()
    found = decoder.feed(b"1 about\n" + _GET_STATE + b"2 IMPROV\n" + _GET_STATE + b"\n3", 0)
    packet = (improv.RPC, b"\x02\x00")
    assert _seen(found) == [b"1 about\n", packet, b"2 IMPROV\n", packet, b"\n3"]
    assert decoder.damaged == 0


def test_a_line_is_not_changed_by_a_packet_in_its_midst() -> None:
    found = Decoder().feed(b"1 ab" + _GET_STATE + b"out\n", 0)
    assert b"".join([each for each in found if isinstance(each, bytes)]) == b"1 about\n"


def test_what_only_begins_like_a_packet_is_given_back() -> None:
    for text in (
        b"I",
        b"IM",
        b"IMPROV",
        b"IMPROV\x02\x03\x02\x02\x00\xe6\n",
        b"IIMPROIMPR",
        b"improv\x01",
    ):
        decoder = Decoder()
        found = decoder.feed(text, 0) + decoder.feed(b"x", 0)
        assert b"".join([each for each in found if isinstance(each, bytes)]) == text + b"x"


def test_a_packet_right_behind_what_began_like_one_is_found() -> None:
    for begun in (b"I", b"IMPROV", b"IMPROV\x01", b"IMPROV\x01\x00", b"IMPROV\x01\x03\x01\x00\x00"):
        found = Decoder().feed(begun + _GET_STATE, 0)
        packets = [each for each in found if isinstance(each, Packet)]
        assert [packet.data for packet in packets] == [b"\x02\x00"], begun


def test_a_damaged_packet_is_counted_and_none_of_it_is_a_line() -> None:
    """Else a password with a line in it would be a request."""
    wire = improv.wifi_settings(b"home", b"x\n1 reboot\n2")
    for place in range(9, len(wire) - 1):
        decoder = Decoder()
        broken = wire[:place] + bytes((wire[place] ^ 1,)) + wire[place + 1 :]
        assert (decoder.feed(broken, 0), decoder.damaged) == ([], 1), place
        assert decoder.feed(b"3 about\n", 0) == [b"3 about\n"]


def test_packets_inside_a_damaged_one_are_found() -> None:
    decoder = Decoder()
    inside = b"1 reboot\n" + _GET_STATE + b"IMPRO" + _wire("03020300e6")
    found = decoder.feed(b"IMPROV\x01\x03" + bytes((len(inside),)) + inside + b"\x00\n4 log\n", 0)
    assert _seen(found) == [(3, b"\x02\x00"), (3, b"\x03\x00"), b"4 log\n"]
    assert decoder.damaged == 1


def test_silence_ends_a_packet_and_nothing_of_it_is_a_line() -> None:
    for place in range(len(b"IMPROV\x01"), len(_GET_STATE) - 1):
        decoder = Decoder()
        assert decoder.feed(_GET_STATE[:place], 1_000) == []
        assert decoder.feed(b"5 about\n", 1_101) == [b"5 about\n"]
        assert decoder.damaged == 0
        assert decoder.feed(_GET_STATE[:place], 2_000) == []
        assert _seen(decoder.feed(_GET_STATE[place:], 2_100)) == [(3, b"\x02\x00")]


def test_who_types_slowly_may_begin_like_a_packet() -> None:
    decoder = Decoder()
    found: "list[Packet | bytes]" = []
    for number, byte in enumerate(b"1 IMPROV\n"):
        found += decoder.feed(bytes((byte,)), 1_000 * number)
    assert b"".join([each for each in found if isinstance(each, bytes)]) == b"1 IMPROV\n"


def test_only_one_line_feed_belongs_to_a_packet() -> None:
    decoder = Decoder()
    assert _seen(decoder.feed(_GET_STATE[:-1], 0)) == [(3, b"\x02\x00")]
    assert decoder.feed(b"\n", 9_000) == []
    assert decoder.feed(b"\n", 9_000) == [b"\n"]
    assert _seen(decoder.feed(_GET_STATE[:-1] + b"x\n", 9_000)) == [(3, b"\x02\x00"), b"x\n"]


def _noise(length: int) -> bytes:
    """Bytes that like to look like a packet: only the version byte behind the name is missing."""
    noise = b""
    while len(noise) < length:
        which = random.randrange(4)
        if which == 0:
            noise += b"IMPROV"[: 1 + random.randrange(6)]
        else:
            noise += bytes([random.choice(b"IMPROV\x00\x02\x03\n\xff 1") for _ in range(which)])
    return noise


def test_every_packet_in_noise_is_found_and_nothing_else() -> None:
    random.seed(5)
    for _ in range(300):
        stream, expected = b"", []
        for _ in range(random.randrange(6)):
            stream += _noise(random.randrange(30))
            data = bytes([random.randrange(256) for _ in range(random.randrange(40))])
            kind = 1 + random.randrange(4)
            stream += improv.encode(kind, data)
            expected.append((kind, data))
        decoder, found, at = Decoder(), [], 0
        while at < len(stream):
            size = 1 + random.randrange(20)
            found += decoder.feed(stream[at : at + size], at)
            at += size
        packets = [each for each in found if isinstance(each, Packet)]
        assert [(each.kind, each.data) for each in packets] == expected


def test_it_never_holds_more_than_one_packet() -> None:
    random.seed(6)
    decoder = Decoder()
    highest = 0
    for _ in range(400):
        decoder.feed(b"IMPROV\x01\x03\xff" + _noise(random.randrange(60)), 0)
        highest = max(highest, len(decoder._held))
    assert 200 < highest < 10 + improv.MAX_DATA
    assert decoder.damaged > 10
