"""The registry's logic: no Ray, clock, thread or coroutine in it.

Commands become events, events change records, and what has to happen outside is returned as effects. It stands below
the journal, which keeps its events: so whoever reads a journal, a client too, has the same table as the registry.
"""
