"""`datalabbet study`: from a file to a registered study."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import config, exports, proposals, views
from coordinator.client import profile as profiles
from coordinator.client.options import (
    Output,
    Profile,
    StudyFile,
    StudyReference,
    connect,
    group,
)
from coordinator.client.output import Form, Json, pairs, say, show
from models.errors import NotFoundError, UsageError
from models.governance import draft as drafts
from models.governance import linked_draft
from models.governance.any_study import AnyStudy
from models.governance.draft import Blank
from models.governance.linked import LinkedStudy
from models.governance.views import CatalogueEntry
from models.schema import CategoryColumn

app = group("Studies: write, check, propose and read them.")


@app.command("new")
def new(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; - for stdout.")],
    dataset: Annotated[
        str, typer.Option("--dataset", help="Fill in this dataset's departments and columns.")
    ] = "",
    linked: Annotated[
        bool,
        typer.Option("--linked", help="Joint questions about the same residents, not a model."),
    ] = False,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Write a commented study file to fill in (- for stdout)."""
    if linked and dataset:
        raise UsageError(
            "a linked study is not about one dataset",
            hint="Leave --dataset out; `datalabbet catalogue list` shows what there is.",
        )
    blank = Blank(study=_slug(file.stem))
    if dataset:
        with connect(profile) as city:
            entries = [e for e in city.catalogue() if e.declaration.name == dataset]
        blank = _fill(blank.study, dataset, entries)
    text = linked_draft.template(blank.study) if linked else drafts.template(blank)
    if str(file) == "-":
        sys.stdout.write(text)
        return
    if file.exists():
        raise UsageError(f"{file} exists already", hint="Name a new file.")
    exports.write_text(file, text)
    show(output, data={"file": str(file), "study": blank.study}, text=str(file))
    say("Fill it in, then: datalabbet study check " + str(file))


@app.command("check")
def check(
    *,
    file: StudyFile,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the file alone, without a coordinator.")
    ] = False,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Tell what is wrong with a study file, and what its privacy costs.

    With an enrolled profile the file is held against the catalogue too.
    """
    draft = proposals.read_draft(file)
    if offline or not profiles.exists(config.profile_folder(profile)):
        show(
            output,
            data={"file": str(file), "study": draft.study, "checked": "file"},
            text=f"{file} is well formed.",
        )
        say("Not held against the catalogue: that needs an enrolled profile.")
        return
    with connect(profile) as city:
        study = city.resolve(draft)
    _show_priced(output, file, study, said="is valid; nothing was proposed.")


@app.command("propose")
def propose(
    *,
    file: StudyFile,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, but propose nothing.")
    ] = False,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Register a study and ask its departments for approval."""
    draft = proposals.read_draft(file)
    with connect(profile) as city:
        study = city.resolve(draft)
        if dry_run:
            _show_priced(output, file, study, said="would be proposed.")
            return
        status = city.propose(study)
    show(output, data=views.study_json(status), text=views.study_text(status))
    say("Each department decides with: datalabbet-node studies approve " + study.study)


@app.command("show")
def show_one(
    *, study: StudyReference, output: Output = Form.TABLE, profile: Profile = None
) -> None:
    """Show a study (by id or hash), where it stands and what its departments decided."""
    with connect(profile) as city:
        status = city.study(study)
    show(output, data=views.study_json(status), text=views.study_text(status))


@app.command("list")
def list_all(*, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """List the studies, newest first."""
    with connect(profile) as city:
        found = city.studies()
    data = [views.study_json(status) for status in found]
    show(output, data=data, text=views.studies_sheet(found))


def _show_priced(output: Form, file: Path, study: AnyStudy, *, said: str) -> None:
    head = [("study", study.study), ("hash", study.digest())]
    told, priced = _priced(study)
    text = f"{file} {said}\n{pairs(head)}\n\n{told}"
    data = {
        "file": str(file),
        "study": study.study,
        "checked": "catalogue",
        "study_hash": study.digest(),
        "privacy": priced,
    }
    show(output, data=data, text=text)


def _priced(study: AnyStudy) -> tuple[str, Json]:
    """Give what a study's privacy costs, for reading and as JSON."""
    # The accountant imports for a second: only here.
    if isinstance(study, LinkedStudy):
        from coordinator.client.linked_planning import planned  # noqa: PLC0415
        from coordinator.client.linked_planning_views import as_json, text  # noqa: PLC0415

        plan = planned(study)
        return text([plan], swedish=False), as_json(plan)
    from coordinator.client import privacy  # noqa: PLC0415

    found = privacy.preview(study)
    return privacy.as_text(found, study), privacy.as_json(found, study)


def _slug(name: str) -> str:
    """Give a study id made from a file name."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:60].rstrip("-")
    return text if len(text) > 1 else Blank().study


def _fill(study: str, dataset: str, entries: list[CatalogueEntry]) -> Blank:
    """Give a template's content from the declarations of a dataset."""
    if not entries:
        raise NotFoundError(
            f"no department has declared the dataset {dataset}",
            hint="`datalabbet catalogue list` shows what there is.",
        )
    columns = entries[0].declaration.variables
    targets = [c for c in columns if isinstance(c, CategoryColumn) and c.missing is None]
    if not targets or len(columns) < 2:  # noqa: PLR2004 - an outcome and something to read
        raise UsageError(
            f"the dataset {dataset} has no column that could be an outcome",
            hint="An outcome has categories and no missing values.",
        )
    outcome = targets[-1].name
    return Blank(
        study=study,
        dataset=dataset,
        departments=[entry.department for entry in entries],
        variables=[(c.name, " ".join(c.meaning.en.split())) for c in columns if c.name != outcome],
        outcome=outcome,
    )
