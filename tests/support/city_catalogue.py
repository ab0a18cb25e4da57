"""The demo city's declarations, as the nodes of its departments would read them."""

from pathlib import Path

from node.datasets import DerivedSource, load_folder

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted((ROOT / "demo" / "city" / "declarations").iterdir())
CATALOGUE = {
    dataset.declaration.name: dataset for folder in FOLDERS for dataset in load_folder(folder)
}
"""Every dataset by name."""

DERIVED = {n: d for n, d in CATALOGUE.items() if isinstance(d.source, DerivedSource)}
"""The analysis tables."""

ALIASES = {"sof_alias", "amf_alias", "skf_alias", "vof_alias"}
"""Tables of temporary numbers, which only the dirty profile has."""
