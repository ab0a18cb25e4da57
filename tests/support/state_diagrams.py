"""The diagrams in `docs/reference/states.md`, from the transition tables themselves.

Run `.venv/bin/python tests/support/state_diagrams.py` to write the page anew.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "reference" / "states.md"


def diagram(table: Mapping[StrEnum, frozenset[StrEnum]], start: StrEnum) -> str:
    """Give a transition table as a Mermaid state diagram."""
    lines = [f"  [*] --> {start.value}"]
    for state, after in table.items():
        lines += [f"  {state.value} --> {then.value}" for then in sorted(after)]
        if not after:
            lines.append(f"  {state.value} --> [*]")
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```"


def page() -> str:
    """Give the whole page."""
    from models.governance import states

    study = diagram(states.STUDY_TRANSITIONS, states.StudyState.PROPOSED)
    run = diagram(states.RUN_TRANSITIONS, states.RunState.STARTING)
    return (
        "# States\n\n"
        "Generated from `models/governance/states.py`; nothing else moves a study or a run.\n\n"
        "## A study\n\n"
        f"{study}\n\n"
        "A study is ready when every department that it names has approved it. A run that stops\n"
        "or fails makes it ready again; what the departments charged stays charged. So does a run\n"
        "that finishes, if a linked study has more `releases`.\n\n"
        "## A run\n\n"
        f"{run}\n\n"
        "`waiting` means that fewer departments than the study's minimum cohort are connected (or\n"
        "that the database cannot be written). The run's message says for whom or what it waits,\n"
        "and it goes on by itself. `training` is also the state of a linked study's run while\n"
        "shares are made and tables computed, `evaluating` while its release is.\n"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    FILE.write_text(page(), encoding="utf-8")
