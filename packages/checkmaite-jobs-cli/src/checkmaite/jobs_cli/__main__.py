"""``python -m checkmaite.jobs_cli``, where the command is not on the path."""

from checkmaite.jobs_cli.app import main

main()
