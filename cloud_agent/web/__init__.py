"""Pages for the links in letters. Work without JavaScript; the same services as the commands."""
