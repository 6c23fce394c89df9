"""The user's process: the backend that `configure_job_backend("ray")` gives, its handles, its way to the registry."""
