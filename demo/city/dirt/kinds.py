"""The kinds of defects in the dirty profile, and how one planted defect is described."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is wrong with a cell, a row or a file, and what a node's `data check` makes of it.

    *Violation*: the row is left out, and listed. *Note*: the row is read, and the oddity listed.
    """

    WRONG_DIGIT = "wrong_digit"
    """One of the ten last digits of an id is another one. Violation: no such id."""
    SWAPPED_DIGITS = "swapped_digits"
    """Two neighbouring digits of an id changed places. Violation: no such id."""
    TEMPORARY_ID = "temporary_id"
    """A temporary id (TF and ten digits) in a person's first records; `detail` is `alias` where
    the department's alias table has it. Violation: not a personal number."""
    BLANKS_AROUND_ID = "blanks_around_id"
    """A blank before and after an id. Note."""
    ID_AS_FLOAT = "id_as_float"
    """An id that a spreadsheet made 1.98583e+11. Violation: the digits are lost."""
    ID_FORM = "id_form"
    """The ids of a file are in the department's own form, with a separator. Nothing to report."""
    EXACT_DUPLICATE = "exact_duplicate"
    """The next row is the same row again. Violation: repeated by a later row."""
    CORRECTION = "correction"
    """The next row has the same key and the right amount. Violation: replaced by a later row."""
    OTHER_CASE = "other_case"
    """A name in capitals or small letters only. Note."""
    TRAILING_BLANK = "trailing_blank"
    """A name with a blank behind it. Note."""
    LOST_DIACRITICS = "lost_diacritics"
    """A name with a and o where it has å, ä and ö. Note."""
    DECOMPOSED = "decomposed"
    """A name whose å, ä and ö are two code points each (Unicode NFD). Note."""
    MOJIBAKE = "mojibake"
    """A name whose UTF-8 bytes were read in the encoding of the file. Note."""
    RETIRED_CODE = "retired_code"
    """A programme under one of the codes that were retired in 2019. Note: a listed spelling."""
    MISSING_CODE = "missing_code"
    """A missing value that is written as a code. Note: missing, by a code that is declared."""
    UNKNOWN_DISTRICT = "unknown_district"
    """District 13, which does not exist. Violation: out of bounds, or none of the categories."""
    AMOUNT_FORM = "amount_form"
    """Amounts before 2021 have a no-break space and decimals. Nothing to report: it is declared."""
    UTC_DATE = "utc_date"
    """Half past midnight on 1 January, which is 31 December in UTC. Note."""
    BYTE_ORDER_MARK = "byte_order_mark"
    """The file begins with a byte-order mark. Note."""
    COLUMN_ORDER = "column_order"
    """The columns of the file are in another order than the other years'. Note."""
    OUT_OF_BOUNDS = "out_of_bounds"
    """A value that cannot be: negative hours, absence above the plan, 999999 kr. Violation."""
    MISSING = "missing"
    """A value is missing that the clean table has. Note, for the column may have missing values;
    violation where the row says nothing without it (`skf_betyg.betyg`, `vof_utford.timmar`)."""
    MISSING_MORE_OFTEN = "missing_more_often"
    """A value is missing, as it is for more of those born abroad. Note: the column may have missing
    values."""
    PROVIDER_GAP = "provider_gap"
    """Hours that one provider of care did not report in 2020. Violation: the row says nothing."""
    SMALL_SCHOOL = "small_school"
    """A school with three pupils; `detail` names it. Note: fewer residents than may be shown."""
    EMPTY_MONTH = "empty_month"
    """A month without rows; `detail` names it. Note."""
    OFFICE_GAP = "office_gap"
    """An office without rows in two years; `detail` names both. Note, where a table has the
    office and the period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One planted defect, where it was delivered.

    Attributes:
        department, table, file: where; `file` is relative to the department's folder.
        row: number of the record in the file, from 1; 0 for the file as a whole.
        column: the column, or empty where the whole row or file is meant.
        kind: what is wrong.
        detail: which month, office or school, where the kind has such a thing.
    """

    department: str
    table: str
    file: str
    row: int
    column: str
    kind: Kind
    detail: str = ""
