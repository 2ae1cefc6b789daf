"""The console: every line gets one bounded answer, and nonsense changes nothing."""

import json
import random

from tare import console
from tare.console import Console, Lines
from tare.errors import ConsoleError, FlashError


class _Bench:
    def __init__(self):
        self.out = []
        self.calls = []
        self.console = Console(self.out.append)
        self.console.add("echo", self._echo)
        self.console.add("much", lambda _: "x" * 5_000)
        self.console.add("fail", self._fail)

    def _echo(self, arguments):
        self.calls.append(arguments)
        return {"heard": arguments}

    def _fail(self, arguments):
        if arguments:
            raise FlashError("broken")
        raise ConsoleError("refused", "not now")

    def ask(self, line):
        self.out.clear()
        self.console.handle(line)
        assert len(self.out) == 1, self.out
        return self.out[0]


def test_a_request_gets_its_number_and_json():
    bench = _Bench()
    reply = bench.ask("17 echo a b")
    assert reply.startswith("= 17 ok {")
    assert json.loads(reply[8:]) == {"heard": ["a", "b"]}


def test_errors_have_a_code_and_a_text():
    bench = _Bench()
    assert bench.ask("3 fail") == "= 3 error refused not now"
    assert bench.ask("4 fail x") == "= 4 error failed broken"
    assert bench.ask("5 nothing").startswith("= 5 error unknown-verb ")
    assert bench.ask("much").startswith("= 0 error syntax ")
    assert bench.ask("7").startswith("= 7 error syntax ")
    assert bench.ask("").startswith("= 0 error syntax ")
    assert bench.ask("8 much").startswith("= 8 error too-long ")


def test_help_names_every_verb():
    bench = _Bench()
    reply = bench.ask("2 help")
    assert json.loads(reply[7:]) == {"verbs": ["echo", "fail", "help", "log", "much"]}
    assert bench.ask("3 help me").startswith("= 3 error arguments ")


def test_the_log_is_bounded_and_ends_with_the_last_line():
    bench = _Bench()
    for number in range(500):
        bench.console.log("line %d %s" % (number, "y" * 300))
    reply = bench.ask("1 log")
    assert len(reply) < console.MAX_LINE_OUT
    lines = json.loads(reply[7:])["lines"]
    assert lines[-1].startswith("line 499")
    assert len(lines) > 5


def test_what_is_logged_stays_one_line():
    bench = _Bench()
    bench.console.log("a\nb\x00c\u00e9")
    assert bench.out == ["# a?b?c?"]


def _lines(data):
    lines = Lines()
    found = [lines.feed(byte) for byte in data]
    return [line for line in found if line is not None]


def test_lines_are_bounded_and_printable():
    assert _lines(b"1 about\r\n2 log\n") == ["1 about", "2 log"]
    assert _lines(b"x" * 1_023 + b"\n") == ["x" * 1_023]
    assert _lines(b"x" * 1_024 + b"\n1 about\n") == ["", "1 about"]
    assert _lines(b"x" * 100_000) == []
    assert _lines(b"1 reb\root\n\r\n\r1 about\n") == ["", "", ""]
    assert _lines(b"1 ab\x00out\n\xff\xfe\n\n") == ["", "", ""]


def test_arguments_are_checked():
    assert console.number("42", 0, 42) == 42
    assert console.octets("00fF", 1, 2) == b"\x00\xff"
    for check in (
        lambda: console.number("43", 0, 42),
        lambda: console.number("-1", 0, 42),
        lambda: console.number("1_0", 0, 42),
        lambda: console.number("9999999999", 0, 1 << 60),
        lambda: console.octets("0", 0, 9),
        lambda: console.octets("0g", 0, 9),
        lambda: console.octets("0 ", 0, 9),
        lambda: console.octets("0011", 3, 9),
        lambda: console.expect(["a"], 2),
    ):
        try:
            check()
        except ConsoleError as error:
            refused = error.code
        else:
            refused = "taken"
        assert refused == "arguments"


def test_random_bytes_get_one_answer_a_line_and_reach_no_verb():
    random.seed(11)
    bench = _Bench()
    lines = Lines()
    asked = 0
    for _ in range(40_000):
        line = lines.feed(random.choice(b"019 abz\n\n=#!\x00\x7f\xff\r"))
        if line is not None:
            asked += 1
            reply = bench.ask(line)
            assert reply.startswith("= ")
            assert " error " in reply
            assert len(reply) < console.MAX_LINE_OUT
    assert asked > 1_000
    assert bench.calls == []
