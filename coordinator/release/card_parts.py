"""What the cards of releases have in common: Markdown that a study's texts cannot break."""

from collections.abc import Iterable, Sequence

from models.governance.any_study import AnyStudy
from models.governance.record import RecordedFile


def plain(text: str) -> str:
    """Give the text on one line, so that it cannot start a heading or a list of its own."""
    return " ".join(text.split())


def section(title: str, body: str) -> str:
    """Give a section of a card."""
    return f"## {title}\n\n{body}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([plain(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def purpose(study: AnyStudy) -> str:
    """Give what the study is for, and on which ground."""
    basis = study.legal_basis
    article_9 = f" and article 9.2 {basis.article_9}" if basis.article_9 else ""
    return (
        f"{plain(study.purpose.en)}\n\n*{plain(study.purpose.sv)}*\n\n"
        f"Legal basis: GDPR article 6.1 {basis.article_6}{article_9}; {plain(basis.provision)}."
    )


def contact(study: AnyStudy) -> str:
    """Give where residents can ask and object."""
    return (
        f"Questions and objections: {plain(study.contact)}.\n\n"
        "A resident can object to the processing at the department that holds the records (GDPR "
        "article 21); that department decides and answers. This release cannot be taken back "
        "from those who have it."
    )


def files(listed: Sequence[RecordedFile]) -> str:
    """Give the files of the release with their hashes."""
    return table(
        ("File", "Bytes", "SHA-256"),
        [(f"`{item.name}`", str(item.size), f"`{item.sha256}`") for item in listed],
    )
