"""What submitters and workers both need: what travels, what is kept, and what is asked of a store or a filesystem."""
