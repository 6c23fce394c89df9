"""The journal: batches of rows, kept in one sequence of objects that one leader at a time may extend.

===================  =====================================================================================
``seg/<number>``     one sequence without holes at its end: *segments*, a batch of rows each, and *fences*, the first
                     object of each leader
``snap/<number>``    the rows that stand for everything up to the segment or fence of this number
===================  =====================================================================================

Why it is safe:

- Every object is created exclusively and never changed, so of two processes that want the next number one gets it.
- A new leader puts a fence at the next number. The leader before finds that number taken whenever it wakes up, for
  fences are never deleted; it knows then that it has been superseded, and acknowledges nothing more.
- A number that is free may have been taken and deleted since. It was deleted only if two snapshots of that number or
  later were there before. So whoever has read on from a snapshot, and fenced or not, looks for snapshots once more
  afterwards, and starts over when two are newer.
- Whether a create was done is never guessed: the very same create is made again until it is known. A nonce tells a
  writer's own object from another's.

The logic is written as generators that ask for storage calls (`steps`), so that a simulation can stop it anywhere.
What a row means `schema` and, of a snapshot, `snapshot` know, and what all of them amount to, `replay`.
"""
