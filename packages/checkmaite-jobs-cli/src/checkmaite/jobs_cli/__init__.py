"""The command ``checkmaite-jobs``. Its commands, records and exit codes are promises.

`spi` is the door for authors of further commands; nothing else here is for import.
"""
