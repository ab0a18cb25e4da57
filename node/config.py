"""The node's settings: read once, from `node.toml` and the environment, then handed on."""

import os
import re
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.errors import ConfigurationError
from models.ledger.limits import DEFAULT, SMALLEST_DELTA
from models.linkage.identity import Mode
from models.schema import Name, Slug

HOME_VARIABLE = "DATALABBET_NODE_HOME"
FILE = "node.toml"

TEMPLATE = """\
# Settings of this department's node. Each can also be given in the environment, as
# DATALABBET_NODE__<NAME IN CAPITALS>.

# Where the coordinator listens (mutual TLS). `datalabbet-node enrol` keeps what it was given.
# coordinator = "coordinator.example.org:8443"

# The coordinator's port for enrolment.
# enrol_port = 8444

# Who decides here about studies; `studies approve --steward` overrides it.
# steward = "Name, title"

# The folder with the dataset declarations (*.yaml), relative to this file.
# datasets = "datasets"

# production: people's records; demo numbers are refused. demo: invented residents; a dataset
# that holds what may be a real person's number is refused whole.
# mode = "production"

# A file with test numbers that are never a person's (a JSON list of texts of twelve digits, as
# Skatteverket publishes it), relative to this file. Refused in production, taken in demo mode.
# test_numbers = "test_numbers.json"

# The fewest departments that a study's round may go on with: with local noise, and with secure
# sums (where two would each see the other's sum, but for its noise). And the fewest of a linked
# study, whose noise is not the departments' own.
# minimum_cohort = 2
# minimum_summed = 3
# minimum_linked = 2

# Who runs this node: the authority or company. A linked study whose shares this node is to compute
# on must name it so, and is refused while nothing is said here.
# owner = "Stadsrevisionen"

# The most ε that one study may ask for, and that all studies on the same residents may add up to:
# in a calendar year (UTC), and in all. The two sums are held at this δ.
# epsilon_per_study = 4.0
# epsilon_per_year = 8.0
# epsilon_total = 16.0
# limits_delta = 1e-6

# The largest delta of one study; and the fewest departments that a study must reckon with for
# one resident (without it that is the steward's to judge, study by study).
# delta_per_study = 1e-4
# departments_per_resident = 2

# Whom a dataset is about, if that is not the department's residents in general. Only people who
# are in no other dataset of this node may get a population, and so limits, of their own.
# populations = { staff_survey = "employees" }

# The identity keys of the other departments (and of a witness), or their fingerprints, as you
# compared them by telephone or in person. A study that names another key is refused.
# peers = { care = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456" }

# Below this much free space in the home `doctor` warns (MiB).
# free_space = 500

# debug, info, warning or error.
# log_level = "info"
"""


def template(mode: Mode) -> str:
    """Give a new node.toml. Nobody's privacy can be spent on invented residents: no low limits."""
    text = TEMPLATE
    if mode is Mode.DEMO:
        text = text.replace(f'# mode = "{Mode.PRODUCTION}"', f'mode = "{mode}"')
        text = re.sub(r"# (epsilon_\w+) = .*", r"\1 = 100.0", text)
    return text


Budget = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]


def _digits(text: object) -> object:
    """Give a key as it is compared: people write it in groups and in capitals."""
    return "".join(text.split()).lower() if isinstance(text, str) else text


Key = Annotated[str, BeforeValidator(_digits), Field(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """What the operator decides about one node.

    Attributes:
        coordinator: HOST:PORT of the coordinator; None means the one it was enrolled at.
        enrol_port: the coordinator's port for enrolment.
        steward: who decides here about studies.
        datasets: the folder with the declarations, relative to the home.
        mode: whether the records are people's or invented.
        test_numbers: a file with numbers that are never a person's, relative to the home.
        minimum_cohort, minimum_summed, minimum_linked: the fewest departments that a study's
            round may go on with (with local noise, and with secure sums), and of a linked study.
        owner: who runs this node; empty: it is no server of linked studies.
        epsilon_per_study, delta_per_study: the most ε and δ that one study may ask for.
        departments_per_resident: the fewest departments that a study must reckon with for one
            resident; None: the steward judges.
        epsilon_per_year, epsilon_total: the most ε, at `limits_delta`, that all studies on one
            population may add up to, in a calendar year (UTC) and in all.
        populations: by dataset, whom it is about, if not the department's residents.
        peers: by name, the identity key of another party (or its fingerprint), in hex.
        free_space: below this many free MiB `doctor` warns.
        log_level: how much is logged.
    """

    model_config = SettingsConfigDict(
        env_prefix="DATALABBET_NODE__", extra="forbid", frozen=True, str_strip_whitespace=True
    )

    coordinator: Address | None = None
    enrol_port: Annotated[int, Field(ge=1, le=65535)] = 8444
    steward: Annotated[str, Field(max_length=200)] = ""
    datasets: Path = Path("datasets")
    mode: Mode = Mode.PRODUCTION
    test_numbers: Path | None = None
    minimum_cohort: Annotated[int, Field(ge=2, le=1000)] = 2
    minimum_summed: Annotated[int, Field(ge=2, le=1000)] = 3
    minimum_linked: Annotated[int, Field(ge=2, le=1000)] = 2
    owner: Annotated[str, Field(max_length=200)] = ""
    epsilon_per_study: Budget = 4.0
    delta_per_study: Annotated[float, Field(ge=SMALLEST_DELTA, le=1e-3)] = 1e-4
    departments_per_resident: Annotated[int, Field(ge=1, le=1000)] | None = None
    epsilon_per_year: Budget = DEFAULT.per_year.value
    epsilon_total: Budget = DEFAULT.total.value
    limits_delta: Annotated[float, Field(ge=SMALLEST_DELTA, le=1e-3)] = DEFAULT.delta.value
    populations: dict[Name, Slug] = Field(default_factory=dict)
    peers: dict[Slug, Key] = Field(default_factory=dict)
    free_space: Annotated[int, Field(ge=0)] = 500
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic-settings' signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what was given, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        path = settings_cls.model_config.get("toml_file")
        file = () if path is None else (TomlConfigSettingsSource(settings_cls),)
        return (init_settings, env_settings, *file)


def load(home: Path) -> Settings:
    """Give the settings of the node whose home is `home`.

    Raises:
        ConfigurationError: the file is not TOML, or a setting is unknown or out of bounds.
    """
    path = home / FILE

    class _Here(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _Here()
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(
            f"the settings in {path} (or DATALABBET_NODE__...) are not valid: {problems}",
            hint="`datalabbet-node init` writes a node.toml that explains each setting.",
        ) from None


def silence_flower() -> None:
    """Switch off what Flower and its helpers would send out by themselves.

    Called before the first import of flwr, which reads these variables then.
    """
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"


def now() -> datetime:
    """Give the present time: the clock that is handed to whoever needs one."""
    return datetime.now(tz=UTC)


def version() -> str:
    """Give the installed version of the node."""
    return metadata.version("datalabbet")
