"""The wall to Ray: the only modules that know its actors, tasks and exceptions."""
