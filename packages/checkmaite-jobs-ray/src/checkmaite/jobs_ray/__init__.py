"""The ``"ray"`` job backend: shared, deduplicated and durable jobs, on a registry and a pool of controllers."""
