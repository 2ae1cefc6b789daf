"""Improv's session: what a client hears, in order, in virtual time; and what is stored of it."""

from protocol import improv
from protocol.improv import Decoder
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare import improv as rules
from tare.errors import FlashError
from tare.improv import Session
from tare.wifi import WifiStore

_SIZE = (flash_map.WIFI + 2) * flash_map.SECTOR
_ABOUT = ("Tare", "0.1.0", "virtual-scale")


class _Bench:
    def __init__(self, flash=None):
        self.flash = flash or Nor(Memory(_SIZE))
        self.store = WifiStore(self.flash, "a-scale")
        self.session = Session(self.store, _ABOUT)
        self.now_ms = 1_000

    def ask(self, wire):
        """Send packets; return what came back, as read by a client."""
        answers = []
        for packet in Decoder().feed(wire, 0):
            answers += self.session.receive(packet, self.now_ms)
        return heard(answers)

    def later(self, duration_ms):
        self.now_ms += duration_ms
        return heard(self.session.tick(self.now_ms))

    def set(self, ssid=b"home", password=b"secret of home"):
        """Set a network that lets us in."""
        self.ask(improv.wifi_settings(ssid, password))
        return heard(self.session.joined(ok=True))


def heard(packets):
    """What packets say: ("state", 2), ("error", 0), (command, [strings])."""
    said = []
    for packet in Decoder().feed(b"".join(packets), 0):
        if packet.kind == improv.CURRENT_STATE:
            said.append(("state", improv.parse_state(packet)))
        elif packet.kind == improv.ERROR_STATE:
            said.append(("error", improv.parse_error(packet)))
        else:
            said.append(improv.parse_result(packet))
    return said


_NO_ERROR = ("error", 0)


def test_a_new_device_is_ready_and_says_what_it_is():
    bench = _Bench()
    assert bench.ask(improv.rpc(improv.GET_STATE)) == [_NO_ERROR, ("state", 2)]
    assert bench.ask(improv.rpc(improv.DEVICE_INFO)) == [
        _NO_ERROR,
        (3, [b"Tare", b"0.1.0", b"virtual-scale", b"a-scale"]),
    ]


def test_what_worked_is_stored_and_not_before():
    bench = _Bench()
    bench.store.set_portal("https://portal.example/claim")
    asked = bench.ask(improv.wifi_settings(b"home", b"secret of home"))
    assert asked == [_NO_ERROR, ("state", 3)]
    assert bench.session.work == rules.JOIN
    assert bench.session.wanted == (b"home", b"secret of home")
    assert bench.ask(improv.rpc(improv.GET_STATE)) == [_NO_ERROR, ("state", 3)]
    assert not WifiStore(bench.flash, "").is_set, "it has not worked yet"
    url = b"https://portal.example/claim"
    assert heard(bench.session.joined(ok=True)) == [("state", 4), (1, [url])]
    assert WifiStore(bench.flash, "").network == (b"home", b"secret of home")
    assert bench.ask(improv.rpc(improv.GET_STATE)) == [_NO_ERROR, ("state", 4), (2, [url])]
    assert bench.session.wanted == (b"", b""), "no longer in memory than it must"
    assert _Bench(bench.flash).ask(improv.rpc(improv.GET_STATE))[1] == ("state", 4)


def test_without_a_portal_there_is_an_empty_url():
    assert _Bench().set() == [("state", 4), (1, [b""])]


def test_what_fails_is_said_and_the_network_of_before_stays():
    bench = _Bench()
    bench.set()
    bench.ask(improv.wifi_settings(b"other", b"wrong password"))
    assert heard(bench.session.joined(ok=False)) == [("error", 3), ("state", 2)]
    assert bench.ask(improv.rpc(improv.GET_STATE)) == [_NO_ERROR, ("state", 2)]
    assert WifiStore(bench.flash, "").network == (b"home", b"secret of home")
    bench.session.end()
    assert bench.ask(improv.rpc(improv.GET_STATE))[1] == ("state", 4)


def test_joining_is_given_up_after_30_s():
    bench = _Bench()
    bench.ask(improv.wifi_settings(b"home", b"p"))
    assert bench.later(29_999) == []
    assert bench.session.state == improv.PROVISIONING
    assert bench.later(1) == [("error", 3), ("state", 2)]
    assert bench.session.work == rules.NOTHING
    assert bench.later(60_000) == []
    # A radio that comes too late has nothing to say any more.
    assert bench.session.joined(ok=True) == []
    assert not bench.store.is_set


def test_what_cannot_be_stored_is_not_called_provisioned():
    class _Worn(Nor):
        worn = False

        def program(self, address, data):
            if self.worn:
                raise FlashError("worn")
            super().program(address, data)

    bench = _Bench(_Worn(Memory(_SIZE)))
    bench.flash.worn = True
    assert bench.set() == [("error", 255), ("state", 2)]
    assert not bench.store.is_set
    assert bench.ask(improv.rpc(improv.HOSTNAME, b"name")) == [_NO_ERROR, ("error", 255)]


def test_a_scan_tells_each_name_once_the_strongest_first():
    bench = _Bench()
    assert bench.ask(improv.rpc(improv.SCAN)) == [_NO_ERROR]
    assert bench.session.work == rules.SCAN
    found = [
        (b"home", -71, True),
        (b"cafe", -60, False),
        (b"home", -52, True),
        ("Käse".encode(), -90, True),
    ]
    assert heard(bench.session.scanned(found)) == [
        (4, [b"home", b"-52", b"YES"]),
        (4, [b"cafe", b"-60", b"NO"]),
        (4, ["Käse".encode(), b"-90", b"YES"]),
        (4, []),
    ]
    assert bench.session.scanned(found) == [], "nobody asked again"


def test_names_that_could_do_harm_are_not_told():
    bench = _Bench()
    bench.ask(improv.rpc(improv.SCAN))
    names = [
        b"",
        b"x" * 33,
        b"a\n= 1 ok",
        b"\x00",
        b"del\x7f",
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
    ]
    assert heard(bench.session.scanned([(name, -50, True) for name in names])) == [(4, [])]


def test_no_more_networks_are_told_than_anybody_shows():
    bench = _Bench()
    bench.ask(improv.rpc(improv.SCAN))
    found = [(b"n%d" % number, -number, True) for number in range(100)]
    told = heard(bench.session.scanned(found))
    assert [strings[0] for _, strings in told[:-1]] == [b"n%d" % each for each in range(24)]


def test_a_scan_that_fails_or_never_ends_is_an_error():
    bench = _Bench()
    bench.ask(improv.rpc(improv.SCAN))
    assert heard(bench.session.scanned(None)) == [("error", 255)]
    bench.ask(improv.rpc(improv.SCAN))
    assert bench.later(14_999) == []
    assert bench.later(1) == [("error", 255)]
    assert bench.session.work == rules.NOTHING


def test_one_thing_at_a_time():
    bench = _Bench()
    bench.ask(improv.rpc(improv.SCAN))
    assert bench.ask(improv.wifi_settings(b"a", b"")) == [_NO_ERROR, ("error", 255)]
    assert bench.ask(improv.rpc(improv.SCAN)) == [_NO_ERROR], "one scan answers both"
    bench.session.scanned([])
    bench.ask(improv.wifi_settings(b"a", b"p"))
    for wire in (
        improv.wifi_settings(b"b", b"q"),
        improv.rpc(improv.SCAN),
        improv.rpc(improv.HOSTNAME, b"name"),
    ):
        assert bench.ask(wire) == [_NO_ERROR, ("error", 255)]
    assert bench.session.wanted == (b"a", b"p")


def test_a_hostname_is_read_checked_and_kept():
    bench = _Bench()
    ask = improv.rpc(improv.HOSTNAME)
    assert bench.ask(ask) == [_NO_ERROR, (5, [b"a-scale"])]
    assert bench.ask(improv.rpc(improv.HOSTNAME, b"bath")) == [_NO_ERROR, (5, [b"bath"])]
    for name in (b"-x", b"a.b", b"a_b", b"\n", b"x" * 33, b"x" * 64):
        assert bench.ask(improv.rpc(improv.HOSTNAME, name)) == [_NO_ERROR, ("error", 5)], name
    assert bench.ask(improv.rpc(improv.HOSTNAME, b"x" * 32))[1] == (5, [b"x" * 32])
    assert _Bench(bench.flash).ask(ask)[1] == (5, [b"x" * 32])
    assert bench.ask(improv.rpc(improv.DEVICE_INFO))[1][1][3] == b"x" * 32


def test_what_is_not_known_or_not_right_changes_nothing():
    bench = _Bench()
    operations = bench.flash.operations
    for command in (0, 6, 7, 255):
        assert bench.ask(improv.rpc(command)) == [_NO_ERROR, ("error", 2)]
    for wire in (
        improv.encode(improv.RPC, b""),
        improv.encode(improv.RPC, b"\x02\x01"),
        improv.encode(improv.RPC, b"\x01\x03\x05ho"),
        improv.rpc(improv.WIFI_SETTINGS),
        improv.rpc(improv.WIFI_SETTINGS, b"\x00\x00"),
        improv.rpc(improv.GET_STATE, b"x"),
        improv.rpc(improv.SCAN, b"x"),
        improv.rpc(improv.DEVICE_INFO, b"x"),
    ):
        assert bench.ask(wire) == [_NO_ERROR, ("error", 1)]
    assert heard(bench.session.damaged()) == [_NO_ERROR, ("error", 1)]
    # Its own packets, when the line sends them back.
    for wire in (improv.state(2), improv.error(1), improv.result(1, [b"x"])):
        assert bench.ask(wire) == []
    assert (bench.session.work, bench.flash.operations) == (rules.NOTHING, operations)
