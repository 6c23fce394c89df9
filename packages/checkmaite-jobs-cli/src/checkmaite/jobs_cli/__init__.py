"""The command ``checkmaite-jobs``. Its commands, records and exit codes are promises; nothing here is for import."""
