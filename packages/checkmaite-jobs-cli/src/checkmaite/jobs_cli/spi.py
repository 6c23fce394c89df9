"""The door for authors of commands.

A command is a click command named by an entry point of the group ``checkmaite.jobs.commands``. It is listed and called
like those that are here; one that cannot be imported says so when it is called, and does not break the others.
"""

from checkmaite.jobs_cli.connecting import connected, has_cluster
from checkmaite.jobs_cli.options import Asked, configured, examples
from checkmaite.jobs_cli.printing import line, say
from checkmaite.jobs_cli.summaries import JobSummary, plain

__all__ = ["Asked", "JobSummary", "configured", "connected", "examples", "has_cluster", "line", "plain", "say"]
