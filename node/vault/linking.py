"""Linking a dataset to the register: whose each id is, and how sure that is.

In this order: the number itself, in its normal form; then the number that the table of aliases
gives for a temporary or replaced one; then, for a number with a fault, the one resident of the
register who is one slip of the hand away, if nobody else comes into question. What else the row
says decides over that (`node.vault.scoring`). A number without a fault that the register does not
have is somebody else's and never led to a resident.

Formal guarantee: what an id is led to depends on the rows in which it is written so, on the
register and on the table of aliases, and on no other row. So, with these two lists fixed, taking
away all rows that are led to one resident changes nothing in what the others are led to: a study
protects a resident as if the numbers had been right from the start. Nothing here is chance.
"""

import contextlib
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.linkage.identity import Identity, bare_digits, read
from node.datasets import Dataset, IdentityForm
from node.vault import register as registers
from node.vault.comparing import Rows, best
from node.vault.identities import Mend, Read, Reads
from node.vault.matching import Numbers
from node.vault.parsing import NoRowsError, parsed, refuse
from node.vault.register import Register
from node.vault.survey import Ids, Survey, survey

LEAST = 0.99
"""The least probability with which a resident is taken for the one that is meant.

While less than one row in ten is mistyped, 0.999 of all that is linked is then right.
"""

_HOPS = 10
_TEN = 10
_BATCH = 65536


class Way(enum.StrEnum):
    """How an id was led to a resident, or why not. Texts for people."""

    EXACT = "the number is in the register"
    ALIAS = "the table of aliases gives the number"
    COMPARED = "one slip away, and nobody else comes into question"
    AMBIGUOUS = "one slip away from somebody, but not surely"
    ABSENT = "a number without a fault that is not in the register"
    UNKNOWN = "no number that could be read or compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of one id.

    Attributes:
        way: how.
        resident: the number that counts; of `ABSENT` one that is not in the register, and empty
            where nobody is meant for certain.
        place: the resident's among the register's ids; -1 if not there.
        probability: that this is the one that is meant.
    """

    way: Way
    resident: str = ""
    place: int = -1
    probability: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """What became of the ids of a dataset.

    Attributes:
        survey: its rows.
        found: by column and code of an id.
    """

    survey: Survey
    found: Mapping[str, Mapping[int, Found]]

    def mend(self, column: str, plain: Reads) -> Reads:
        """Give what reads a column's ids with those mended that could be; others as written."""
        if column not in self.found:
            return plain
        ids, found = self.survey.ids[column], self.found[column]
        mended = {
            text: found[code].resident
            for text, code in (*ids.written.items(), *ids.named.items())
            if found[code].resident and found[code].resident != text
        }

        def read_mended(texts: Sequence[str]) -> list[Read]:
            one: Iterator[tuple[str, Read]] = zip(texts, plain(texts), strict=True)
            return [self._mended(text, written, mended) for text, written in one]

        return read_mended

    @staticmethod
    def _mended(text: str, written: Read, mended: Mapping[str, str]) -> Read:
        resident = mended.get(written[0] or text.strip())
        return written if resident is None else (resident, None)


class Linker:
    """Links the datasets of one folder; reads their register once, and only if it is needed."""

    def __init__(self, register: Register | None = None) -> None:
        """Take the register, or have it read from where a dataset's folder declares it."""
        self._register = register
        self._numbers: Numbers | None = None

    def mends(self, dataset: Dataset) -> Mend | None:
        """Give how a dataset's ids are mended; None if it declares no linkage or needs none."""
        if dataset.residents is None or dataset.linkage is None:
            return None
        found = survey(dataset, mends=self.mends)
        aliases = self._aliases(dataset)
        if not any(ids.written or ids.named.keys() & aliases for ids in found.ids.values()):
            return None
        return self._linked(dataset, found, aliases).mend

    def links(self, dataset: Dataset) -> Links:
        """Give what becomes of every id of a dataset.

        Raises:
            DataContractError: the dataset or the register cannot be read, or the folder has none.
        """
        return self._linked(dataset, survey(dataset, mends=self.mends), self._aliases(dataset))

    def register(self, dataset: Dataset) -> Register:
        """Give the register of the dataset's folder. Raises as `node.vault.register.register`."""
        if self._register is None:
            self._register = registers.register(dataset.residents or dataset)
        return self._register

    def numbers(self, dataset: Dataset) -> Numbers:
        """Give the register's numbers, to be looked up. Raises as `register`."""
        if self._numbers is None:
            self._numbers = Numbers(self.register(dataset).ids)
        return self._numbers

    def _aliases(self, dataset: Dataset) -> dict[str, str]:
        """Give the number that counts by the temporary or replaced one.

        One that stands for two residents stands for none.
        """
        table, linkage = dataset.aliases, dataset.linkage
        if table is None or linkage is None or linkage.aliases is None:
            return {}
        name = linkage.aliases.column
        columns = [c for c in table.declaration.columns if c.name == name]
        found: dict[str, set[str]] = {}
        with contextlib.suppress(NoRowsError):
            for part in parsed(table, columns, batch_rows=_BATCH):
                refuse(table, part)
                usable = part.usable()
                keys, now = part.columns[name].values[usable], part.residents.values[usable]
                for key, resident in zip(keys, now, strict=True):
                    found.setdefault(_canonical(key, dataset), set()).add(resident)
        return {key: next(iter(ones)) for key, ones in found.items() if len(ones) == 1}

    def _linked(self, dataset: Dataset, found: Survey, aliases: Mapping[str, str]) -> Links:
        register, numbers = self.register(dataset), self.numbers(dataset)
        by_column = {}
        for column, ids in found.ids.items():
            ways = _known(ids, numbers, aliases)
            own = column == dataset.declaration.resident_id
            compare = dataset.linkage.compare if own and dataset.linkage is not None else {}
            if dataset.linkage is not None and dataset.identity_form is IdentityForm.PERSONNUMMER:
                rows = Rows(ids=ids, values=found.values if own else {}, compare=compare)
                ways |= _compared(rows, ways, register, numbers, dataset=dataset)
            by_column[column] = ways
        return Links(survey=found, found=by_column)


def _canonical(key: str, dataset: Dataset) -> str:
    """Give an alias as the ids of the dataset are read: twelve digits if it is a number."""
    if dataset.identity_form is not IdentityForm.PERSONNUMMER:
        return key
    found = read(key, extracted=dataset.extracted)
    return found.digits if isinstance(found, Identity) else key


def _known(ids: Ids, numbers: Numbers, aliases: Mapping[str, str]) -> dict[int, Found]:
    """Give what became of the ids that need no comparison; the others are `UNKNOWN`."""
    found = {}
    for text, code in (*ids.named.items(), *ids.written.items()):
        place = -1 if code in found else numbers.place(text)
        if place >= 0:
            found[code] = Found(way=Way.EXACT, resident=text, place=place)
        elif text in aliases:
            resident = _last(text, numbers, aliases)
            place = numbers.place(resident)
            way = Way.ABSENT if place < 0 else Way.ALIAS
            found[code] = Found(way=way, resident=resident, place=place)
        elif text in ids.named:
            found[code] = Found(way=Way.ABSENT, resident=text)
        else:
            found[code] = Found(way=Way.UNKNOWN)
    return found


def _last(text: str, numbers: Numbers, aliases: Mapping[str, str]) -> str:
    """Follow replaced numbers to one of the register, or to the last: some were replaced twice."""
    for _ in range(_HOPS):
        if numbers.place(text) >= 0 or text not in aliases:
            break
        text = aliases[text]
    return text


def _compared(
    rows: Rows,
    known: Mapping[int, Found],
    register: Register,
    numbers: Numbers,
    *,
    dataset: Dataset,
) -> dict[int, Found]:
    """Give what became of numbers with a fault that anybody may be meant by."""
    likeliest = best(
        rows,
        doubtful={
            code: digits
            for text, code in rows.ids.written.items()
            if known[code].way is Way.UNKNOWN and (digits := _comparable(text, dataset))
        },
        register=register,
        numbers=numbers,
    )
    return {
        code: Found(
            way=Way.COMPARED,
            resident=str(register.ids[one.place]),
            place=one.place,
            probability=one.probability,
        )
        if one.probability >= LEAST
        else Found(way=Way.AMBIGUOUS)
        for code, one in likeliest.items()
    }


def _comparable(text: str, dataset: Dataset) -> str:
    """Give the digits of a number with a fault; '' if only its century is not known."""
    digits = bare_digits(text)
    return "" if dataset.extracted is None and len(digits) == _TEN else digits
