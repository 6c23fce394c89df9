"""What a journal amounts to: the book of all its jobs."""

from __future__ import annotations

from checkmaite.jobs_ray._journal._errors import JournalCorruptError
from checkmaite.jobs_ray._journal._reading import Found
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._rows import event_of, restore


def book_of(found: Found) -> JobBook:
    """The book that the snapshot and every event after it make.

    Raises:
        JournalCorruptError: A row is none that this project writes, or contradicts those before it.
    """
    book = JobBook()
    try:
        restore(book, found.snapshot_rows())
        for rows in found.batches():
            for row in rows:
                book.apply(event_of(row))
            book.take_events()
    except (ValueError, TypeError, KeyError, IndexError, AssertionError, AttributeError) as error:
        raise JournalCorruptError.of(
            found.root,
            f"what it says cannot be ({type(error).__name__}: {error})",
            "Restore the folder from a copy; move it away or pass another journal_uri to begin without a history.",
        ) from error
    book.take_changed()
    book.take_unneeded()
    return book
