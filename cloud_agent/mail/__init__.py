"""E-mail: letters that go out, requests that come in."""
