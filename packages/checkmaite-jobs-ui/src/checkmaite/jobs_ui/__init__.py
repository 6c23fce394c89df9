"""Jobs, their queue and their results in a browser: live on loopback, or as a folder to give away.

`serve` shows the jobs of the active backend while its block lasts; `write_report` writes what they are now. From a
shell both are commands: ``checkmaite-jobs ui`` and ``checkmaite-jobs report``.
"""

from checkmaite.jobs_ui.active import serve, write_report

__all__ = ["serve", "write_report"]
