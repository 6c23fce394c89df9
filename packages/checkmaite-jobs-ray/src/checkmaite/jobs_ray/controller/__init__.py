"""A controller's process: a detached actor of the registry's pool, which owns Ray tasks of many jobs.

`machine` decides and is pure; `actor` carries out, and `cluster` knows Ray's tasks.
"""
