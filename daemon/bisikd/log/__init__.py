"""The append-only encrypted log."""
