"""Accounts: opening one, proving who one is, what was agreed to and when."""
