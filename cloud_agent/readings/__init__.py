"""Readings of owners: stored encrypted, listed with the time that they were taken."""
