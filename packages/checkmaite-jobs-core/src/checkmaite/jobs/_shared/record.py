"""The base class of the rows that capabilities return.

It stands alone because capabilities import it everywhere; checking rows is the store's business, see `_records`.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen


@frozen
class Record:
    """One flat row of results; subclass it with attrs, name the table, annotate the columns.

    Columns may be text, whole numbers (64 bits), floats, booleans, dates, aware datetimes, bytes, enums of those, and
    None where the annotation is Optional::

        @frozen
        class Accuracy(Record):
            table_name = "accuracy"
            model_id: str
            accuracy: float
    """

    table_name: ClassVar[str]
