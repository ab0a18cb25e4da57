"""The nodes of the joint questions: each department's folder, the register, and a witness."""

import shutil
from pathlib import Path

from demo.city.delivery.delivery import Delivery, Profile
from demo.federation import Federation
from demo.linked.joint import DEPARTMENTS, OWNERS
from demo.town import Town

_SETTINGS = "node.toml"


def deliver(town: Town, homes: Path, *, profile: Profile, public: bool) -> None:
    """Write each department's folder `datasets` into its node's home, `homes/<department>`.

    Args:
        town: the city.
        homes: the nodes' homes.
        profile: clean, or with the defects of real systems.
        public: declare everything public, which a study without protection asks for. Nobody whom
            the records are about exists.
    """
    whole = homes.with_name("delivery")
    delivery = Delivery(whole, profile=profile, settings=town.city.settings)
    delivery.add(town.tables)
    delivery.close()
    for department, folder in DEPARTMENTS.items():
        home = homes / department
        home.mkdir(parents=True)
        if public:
            _publish(whole / folder)
        shutil.move(whole / folder, home / "datasets")
    shutil.rmtree(whole)


def own(federation: Federation) -> None:
    """Write into each node's settings who runs it: so it may compute on shares."""
    for name, owner in OWNERS.items():
        path = federation.home(name) / _SETTINGS
        with path.open("a", encoding="utf-8") as settings:
            settings.write(f'\nowner = "{owner}"\n')


def _publish(folder: Path) -> None:
    for path in folder.glob("*.yaml"):
        with path.open("a", encoding="utf-8") as declaration:
            declaration.write("public: true\n")
