"""The datasets that the department declares, as its files say now."""

from collections.abc import Mapping
from pathlib import Path

from models.errors import ConfigurationError, NotFoundError
from models.linkage.identity import Admission
from models.schema import Declaration
from node.datasets import Dataset, load_folder

_Stamp = tuple[tuple[str, int, int], ...]
_PRODUCTION = Admission()


class Shelf:
    """The folder of declarations, read again when a file was added, removed or changed."""

    def __init__(self, folder: Path, *, admission: Admission = _PRODUCTION) -> None:
        """Keep the folder, and which personal numbers the node takes."""
        self.folder = folder
        self._admission = admission
        self._stamp: _Stamp | None = None
        self._datasets: Mapping[str, Dataset] = {}

    def datasets(self) -> Mapping[str, Dataset]:
        """Give the datasets by name.

        Raises:
            ConfigurationError, InvalidDocumentError: a file is not as it must be; while it is
                so, no dataset is given, rather than an older version.
        """
        stamp = self.stamp()
        if stamp != self._stamp:
            self._stamp = None
            found = load_folder(self.folder, admission=self._admission)
            self._datasets = {item.declaration.name: item for item in found}
            self._stamp = stamp
        return self._datasets

    def declarations(self) -> Mapping[str, Declaration]:
        """Give the declarations by name. Raises as `datasets`."""
        return {name: item.declaration for name, item in self.datasets().items()}

    def register(self) -> Dataset | None:
        """Give the dataset that is the folder's register, or None. Raises as `datasets`."""
        found = [item for item in self.datasets().values() if item.register is not None]
        return found[0] if found else None

    def stamp(self) -> _Stamp:
        """Give what changes when a file does: names, times and sizes.

        Raises:
            ConfigurationError: the folder cannot be read.
        """
        try:
            entries = [
                (path.name, path.stat().st_mtime_ns, path.stat().st_size)
                for path in self.folder.iterdir()
                if path.suffix in {".yaml", ".yml"}
            ]
        except OSError as error:
            raise ConfigurationError(
                f"{self.folder}: cannot be read ({error.strerror})",
                hint="Make the folder and put one declaration file per dataset in it.",
            ) from None
        return tuple(sorted(entries))


def chosen(datasets: Mapping[str, Dataset], name: str | None) -> tuple[Dataset, ...]:
    """Give the dataset of that name, or all.

    Raises:
        NotFoundError: there is none of that name, or none at all.
    """
    if name is None and datasets:
        return tuple(datasets.values())
    if name is None or name not in datasets:
        raise NotFoundError(
            "no dataset is declared" if name is None else f"the dataset {name} is not declared",
            hint="Put one declaration file per dataset in the folder `datasets`.",
        )
    return (datasets[name],)
