"""The process of a registry's hooks: a detached actor, so that whatever a hook does, no registry waits for it."""
