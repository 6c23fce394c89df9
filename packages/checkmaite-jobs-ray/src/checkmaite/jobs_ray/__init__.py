"""The ``"ray"`` job backend: shared, deduplicated and durable jobs, on a registry and a pool of controllers.

A folder is a process: `client`, `registry`, `controller`. The journal and the modules beside the folders run in
several. Nothing here is for import from outside: the backend is found by its entry point.
"""
