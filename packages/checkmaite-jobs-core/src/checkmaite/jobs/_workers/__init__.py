"""What runs where a job does: a process that imports as little as it can."""
