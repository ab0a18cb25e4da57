"""`datalabbet privacy plan`: the price of a study's protection before anything is spent."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import api, config
from coordinator.client import profile as profiles
from coordinator.client.options import Output, Profile, StudyFile, connect, group
from coordinator.client.output import Form, say, show
from models.errors import UsageError
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
        Path | None,
        typer.Option(
            "--declaration",
            metavar="FILE",
            help="Work offline with this declaration: a steward's file, or what "
            "`catalogue show --output json` printed.",
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
    is found by running the mechanism here on residents invented from the declaration.
    """
    # The accountant imports for a second: only here.
    from coordinator.client import planning, planning_views  # noqa: PLC0415
    from models.training.invented import Assumptions  # noqa: PLC0415

    if repetitions == 1:
        raise UsageError("one trial says nothing about chance", hint="Ask for at least 2, or 0.")
    wish = planning.Wish(
        epsilons=tuple(epsilon or ()),
        residents=tuple(residents or ()),
        departments=departments or 0,
        assumed=Assumptions(signal=signal, share=share),
        repetitions=repetitions,
        seed=seed,
    )
    draft = api.read_draft(file)
    studies = planning.variations(draft, _declared(draft, declaration, profile), wish)
    found = list(planning.planned(studies, wish, tell=say))
    data = {"file": str(file), "plans": [planning_views.as_json(item) for item in found]}
    swedish = language is Language.SWEDISH
    show(output, data=data, text=planning_views.text(found, assumed=wish.assumed, swedish=swedish))


def _declared(
    draft: StudyDraft, file: Path | None, profile: Path | None
) -> Mapping[str, Declaration | None]:
    """Give the declaration of each department, from the file or from the catalogue."""
    from coordinator.client import declared  # noqa: PLC0415 - needed offline only

    if file is not None:
        found = declared.read(file)
        if found.name != draft.dataset:
            raise UsageError(
                f"the study asks for the dataset {draft.dataset}; {file} declares {found.name}"
            )
        return dict.fromkeys(draft.departments, found)
    if not profiles.exists(config.profile_folder(profile)):
        raise UsageError(
            "a plan needs the declaration of the dataset",
            hint="Give --declaration FILE, or enrol: then it comes from the catalogue.",
        )
    with connect(profile) as city:
        entries = [e for e in city.catalogue() if e.declaration.name == draft.dataset]
    known = {entry.department: entry.declaration for entry in entries}
    return {name: known.get(name) for name in draft.departments}
