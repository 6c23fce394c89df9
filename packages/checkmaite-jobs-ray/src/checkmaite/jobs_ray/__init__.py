"""The place of the ``"ray"`` job backend; this version of the distribution brings none yet."""
