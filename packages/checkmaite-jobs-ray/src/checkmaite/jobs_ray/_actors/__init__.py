"""The actors' shells: they carry out what the machines decide."""
