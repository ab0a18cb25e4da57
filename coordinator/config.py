"""The coordinator's settings: read once, from `coordinator.toml` and the environment."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.errors import ConfigurationError

HOME_VARIABLE = "DATALABBET_COORDINATOR_HOME"
FILE = "coordinator.toml"

TEMPLATE = """\
# Settings of the coordinator. Each can also be given in the environment, as
# DATALABBET_COORDINATOR__<NAME IN CAPITALS>.

# Where members call (mutual TLS), and where they enrol. Port 0 takes a free port.
# listen = "127.0.0.1:8443"
# enrol_listen = "127.0.0.1:8444"

# The DNS names and IP addresses by which members reach this coordinator; its certificate
# carries them and is made anew at the next start when they change.
# names = ["localhost", "127.0.0.1"]

# Empty: an SQLite file in this folder. Or postgresql+psycopg://user:password@host/name
# (better given in the environment, or as a file that holds the URL: database_file).
# database = ""
# database_file = "/run/secrets/database"

# How long a start waits for the database (seconds).
# database_wait = 60

# How long members' certificates are valid. Nodes renew theirs by themselves.
# certificate_days = 30

# Threads for calls. Each connected node holds one, and one more per run it takes part in; so
# does everyone who watches a run. A call beyond them is refused.
# threads = 200

# How long a department may be away before a round goes on without it (if the minimum cohort
# stands), and how long a connected one may take for a step (seconds).
# grace_seconds = 10
# round_timeout_seconds = 3600

# The most runs at once.
# most_runs = 10

# debug, info, warning or error.
# log_level = "info"
"""

Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]


class Settings(BaseSettings):
    """What the operator decides about the coordinator.

    Attributes:
        listen: HOST:PORT for members (mutual TLS).
        enrol_listen: HOST:PORT for enrolment.
        names: DNS names and IP addresses of the server's certificate.
        database: SQLAlchemy URL; empty means an SQLite file in the home.
        database_file: a file that holds the URL, in place of `database`.
        database_wait: how many seconds a start waits for the database.
        certificate_days: validity of members' certificates.
        threads: threads for calls, and so the most calls and streams at once.
        grace_seconds: patience with a department that is away.
        round_timeout_seconds: patience with a connected department's step.
        most_runs: the most runs at once.
        log_level: how much is logged.
    """

    model_config = SettingsConfigDict(
        env_prefix="DATALABBET_COORDINATOR__",
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
    )

    listen: Address = "127.0.0.1:8443"
    enrol_listen: Address = "127.0.0.1:8444"
    names: Annotated[tuple[HostName, ...], Field(min_length=1, max_length=50)] = (
        "localhost",
        "127.0.0.1",
    )
    database: SecretStr = SecretStr("")
    database_file: Path | None = None
    database_wait: Annotated[float, Field(ge=0, le=3600)] = 60.0
    certificate_days: Annotated[int, Field(ge=1, le=398)] = 30
    threads: Annotated[int, Field(ge=4, le=5000)] = 200
    grace_seconds: Annotated[float, Field(gt=0, le=86400)] = 10.0
    round_timeout_seconds: Annotated[float, Field(gt=0, le=864000)] = 3600.0
    most_runs: Annotated[int, Field(ge=1, le=100)] = 10
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic's signature
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

    def database_url(self, home: Path) -> str:
        """Give the database's URL; it may hold a password.

        Raises:
            ConfigurationError: `database_file` cannot be read.
        """
        if self.database_file is not None:
            path = home / self.database_file
            try:
                return path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigurationError(f"database_file: {path} cannot be read") from None
        return self.database.get_secret_value() or f"sqlite:///{state_folder(home)}/coordinator.db"


def state_folder(home: Path) -> Path:
    """Give the folder of everything that only the coordinator itself writes."""
    return home.resolve() / "state"


def load(home: Path) -> Settings:
    """Give the settings of the coordinator whose home is `home`.

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
            f"the settings in {path} (or DATALABBET_COORDINATOR__...) are not valid: {problems}",
            hint="`datalabbet-coordinator init` writes a file that explains each setting.",
        ) from None


def now() -> datetime:
    """Give the present time."""
    return datetime.now(tz=UTC)
