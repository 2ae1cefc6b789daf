"""Backups in two sets, data and keys, and the restore that brings nobody back."""
