"""`datalabbet privacy plan`: the price of a study's protection before anything is spent."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import config, proposals
from coordinator.client import profile as profiles
from coordinator.client.options import Output, Profile, StudyFile, connect, group
from coordinator.client.output import Form, Json, say, show
from models.errors import UsageError
from models.governance.linked import LinkedDraft
from models.governance.study import StudyDraft
from models.schema import Declaration

app = group("Privacy before anything is spent.")


class Language(StrEnum):
    """In which language people are told."""

    ENGLISH = "en"
    SWEDISH = "sv"


@app.callback()
def root() -> None:
    """Privacy before anything is spent."""


@app.command("plan")
def plan(  # noqa: PLR0913 - each is an option of the command
    *,
    file: StudyFile,
    epsilon: Annotated[
        list[float] | None,
        typer.Option("--epsilon", help="Try this epsilon instead; may be given several times."),
    ] = None,
    residents: Annotated[
        list[int] | None,
        typer.Option("--residents", help="Try so many residents instead; may be repeated."),
    ] = None,
    departments: Annotated[
        int | None,
        typer.Option("--departments", min=2, max=1000, help="Try so many departments instead."),
    ] = None,
    declaration: Annotated[
        list[Path] | None,
        typer.Option(
            "--declaration",
            metavar="FILE",
            help="Work offline with this declaration: a steward's file, or what "
            "`catalogue show --output json` printed. For a linked study several, or folders.",
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="NAME=NUMBER",
            help="Of a linked study: about how many residents a question is about, or have a "
            "category (VARIABLE=CATEGORY=NUMBER). May be repeated.",
        ),
    ] = None,
    signal: Annotated[
        float,
        typer.Option(
            "--signal", help="Assumed: the AUC of whoever knew all that the columns tell."
        ),
    ] = 0.8,
    share: Annotated[
        float, typer.Option("--share", help="Assumed: how common the last of two outcomes is.")
    ] = 0.3,
    repetitions: Annotated[
        int,
        typer.Option("--repetitions", min=0, max=100, help="Trials of each; 0: only the noise."),
    ] = 5,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**63 - 1,
            help="Of the invented residents; the noise is always fresh.",
        ),
    ] = 1,
    language: Annotated[
        Language, typer.Option("--language", help="Of the text for people.")
    ] = Language.ENGLISH,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Tell the noise a study needs and what it costs in accuracy. No records are read.

    Declarations come from the catalogue (an enrolled profile) or from --declaration. The accuracy
    is found by running the mechanism here on residents invented from the declaration; that of a
    linked study follows from its noise and from public numbers of residents.
    """
    # The accountant imports for a second: only here.
    from coordinator.client import planning, planning_views  # noqa: PLC0415
    from models.training.invented import Assumptions  # noqa: PLC0415

    if repetitions == 1:
        raise UsageError("one trial says nothing about chance", hint="Ask for at least 2, or 0.")
    draft = proposals.read_draft(file)
    swedish = language is Language.SWEDISH
    if isinstance(draft, LinkedDraft):
        if residents or departments:
            raise UsageError(
                "a linked study has the departments and the register that its file names",
                hint="Try other numbers of residents with --size.",
            )
        known = _all_declared(declaration or [], profile)
        data, text = _linked(draft, known, epsilons=epsilon or [], sizes=size, swedish=swedish)
        show(output, data={"file": str(file), "plans": data}, text=text)
        return
    if size:
        raise UsageError("--size belongs to linked studies", hint="Use --residents here.")
    wish = planning.Wish(
        epsilons=tuple(epsilon or ()),
        residents=tuple(residents or ()),
        departments=departments or 0,
        assumed=Assumptions(signal=signal, share=share),
        repetitions=repetitions,
        seed=seed,
    )
    studies = planning.variations(draft, _declared(draft, declaration or [], profile), wish)
    found = list(planning.planned(studies, wish, tell=say))
    data = [planning_views.as_json(item) for item in found]
    text = planning_views.text(found, assumed=wish.assumed, swedish=swedish)
    show(output, data={"file": str(file), "plans": data}, text=text)


def _linked(
    draft: LinkedDraft,
    declared: Sequence[tuple[str | None, Declaration]],
    *,
    epsilons: Sequence[float],
    sizes: Sequence[str] | None,
    swedish: bool,
) -> tuple[list[Json], str]:
    """Give the plans of a linked study, as JSON and for reading."""
    # The accountant and the estimates import for a second: only here.
    from coordinator.client import linked_planning  # noqa: PLC0415
    from coordinator.client.linked_planning_views import as_json, text  # noqa: PLC0415

    known = linked_planning.sizes(sizes or ())
    studies = linked_planning.variations(draft, declared, epsilons=epsilons)
    found = [linked_planning.planned(study, sizes=known) for study in studies]
    return [as_json(item) for item in found], text(found, swedish=swedish)


def _all_declared(
    files: Sequence[Path], profile: Path | None
) -> list[tuple[str | None, Declaration]]:
    """Give declarations and whose they are, from files and folders or from the catalogue."""
    from coordinator.client import declared  # noqa: PLC0415 - needed offline only

    if files:
        return declared.read_all(files)
    _enrolled(profile, "a plan needs the declarations of the datasets")
    with connect(profile) as city:
        return [(entry.department, entry.declaration) for entry in city.catalogue()]


def _enrolled(profile: Path | None, problem: str) -> None:
    if not profiles.exists(config.profile_folder(profile)):
        raise UsageError(
            problem,
            hint="Give --declaration FILE, or enrol: then it comes from the catalogue.",
        )


def _declared(
    draft: StudyDraft, files: Sequence[Path], profile: Path | None
) -> Mapping[str, Declaration | None]:
    """Give the declaration of each department, from the file or from the catalogue."""
    from coordinator.client import declared  # noqa: PLC0415 - needed offline only

    if len(files) > 1:
        raise UsageError("a study of one dataset has one --declaration")
    for file in files:
        found = declared.read(file)
        if found.name != draft.dataset:
            raise UsageError(
                f"the study asks for the dataset {draft.dataset}; {file} declares {found.name}"
            )
        return dict.fromkeys(draft.departments, found)
    _enrolled(profile, "a plan needs the declaration of the dataset")
    with connect(profile) as city:
        entries = [e for e in city.catalogue() if e.declaration.name == draft.dataset]
    known = {entry.department: entry.declaration for entry in entries}
    return {name: known.get(name) for name in draft.departments}
