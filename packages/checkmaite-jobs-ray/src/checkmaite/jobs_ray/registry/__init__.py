"""The registry's process: one detached actor for each registry, on one event loop.

`model` decides and is pure; the rest carries out what it decides, on asyncio, threads and (in `cluster`) Ray.
"""
