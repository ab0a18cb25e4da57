"""One line of what a steward reads before an approval, and the lines that every study has."""

from dataclasses import dataclass

from models.governance.any_study import AnyStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line of the preview: what it is about, and the text."""

    about: str
    text: str


def why(study: AnyStudy) -> tuple[tuple[str, str], ...]:
    """Give which study it is, for what, on which ground, and who answers for it."""
    basis = study.legal_basis
    article_9 = f", article 9.2 {basis.article_9}" if basis.article_9 else ""
    return (
        ("study", f"{study.study}: {study.title.en} / {study.title.sv}"),
        ("hash", study.digest()),
        ("program", study.code),
        ("purpose", f"{study.purpose.en} / {study.purpose.sv}"),
        ("legal basis", f"GDPR article 6.1 {basis.article_6}{article_9}; {basis.provision}"),
        ("contact", study.contact),
    )
