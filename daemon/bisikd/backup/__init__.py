"""Backups: the whole state directory in one encrypted file that proves itself, and the way back."""
