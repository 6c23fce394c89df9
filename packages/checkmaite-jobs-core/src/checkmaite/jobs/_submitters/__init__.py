"""What runs where jobs are submitted: a user's process.

It may use the worker's side (a backend may run jobs in the submitter's process), never the other way round.
"""
