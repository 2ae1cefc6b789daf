"""Settings as people write them, and as they are stored: one table for both."""

from protocol import settings
from protocol.errors import MessageError
from protocol.tests.support import refusal


def test_every_value_comes_back_from_what_people_write() -> None:
    for setting in settings.TABLE:
        assert settings.named(setting.name) is setting
        assert settings.numbered(setting.number) is setting
        assert setting.allows(setting.default)
        for value in range(setting.low, setting.high + 1):
            assert settings.parse(setting.name, setting.text(value)) == (setting.number, value)


def test_what_is_no_setting_or_no_value_of_it_is_refused() -> None:
    assert refusal(MessageError, settings.parse, "colour", "1") == "settings-name"
    for name, text in (
        ("unit", "0"),
        ("unit", "KG"),
        ("unit", ""),
        ("awake_s", "14"),
        ("awake_s", "301"),
        ("awake_s", "-60"),
        ("awake_s", "6e1"),
        ("awake_s", ""),
        ("awake_s", "9" * 12),
        ("shown_s", "31"),
    ):
        assert refusal(MessageError, settings.parse, name, text) == "settings-value"
    assert settings.numbered(200) is None


def test_what_would_have_been_right_is_said() -> None:
    expected = [setting.expected() for setting in settings.TABLE]
    assert expected == ["kg, lb, st", "15 to 300", "2 to 30"]


def test_a_boolean_is_no_value() -> None:
    assert [setting.allows(True) for setting in settings.TABLE] == [False] * len(settings.TABLE)
