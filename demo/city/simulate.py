"""The whole latent city from its settings: what the departments' tables are written from."""

from dataclasses import dataclass

from demo.city.assistance import Assistance, assist
from demo.city.care import Care, provide_care
from demo.city.labour import Labour, summer_jobs
from demo.city.population import Population, populate
from demo.city.schools import Schools, teach
from demo.city.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Residents and what each department knows of them, before any table is written.

    Nothing here needs a generator any more, but tables may draw from the streams `grades`,
    `absence`, `ids` and `dirty`, which the simulation leaves alone.
    """

    settings: Settings
    population: Population
    care: Care
    assistance: Assistance
    labour: Labour
    schools: Schools


def simulate(settings: Settings) -> City:
    """Make the city: residents, then each department after those it depends on."""
    population = populate(settings)
    care = provide_care(settings, population)
    assistance, programmes = assist(settings, population, care)
    return City(
        settings=settings,
        population=population,
        care=care,
        assistance=assistance,
        labour=Labour(programmes=programmes, summer_jobs=summer_jobs(settings, population)),
        schools=teach(settings, population=population, care=care, assistance=assistance),
    )
