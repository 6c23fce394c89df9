"""The registry's and the controllers' logic: no Ray, clock, thread or coroutine in it.

Commands become events, events change records, and what has to happen outside is returned as effects.
"""
