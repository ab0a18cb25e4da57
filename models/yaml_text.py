"""YAML as people write it, read without YAML's surprises, with the line of every field.

Differences from PyYAML's safe loader, each a trap that people fall into: `1e-5` is a number,
`yes`, `no`, `on` and `off` are texts, dates stay texts, a key may appear once, and there are
no anchors or aliases.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import yaml

from models import documents
from models.errors import FieldProblem, InvalidDocumentError

T = TypeVar("T")
Path = tuple[str, ...]

MAX_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """A parsed text.

    Attributes:
        what: names the text in messages.
        content: its value.
        lines: the line (from 1) on which each path begins.
    """

    what: str
    content: object
    lines: Mapping[Path, int]

    def read(self, kind: type[T]) -> T:
        """Give the document of class `kind` that the text holds.

        Raises:
            InvalidDocumentError: every problem with its field and line.
        """
        try:
            return documents.read(kind, self.content, what=self.what)
        except InvalidDocumentError as error:
            raise self.invalid(error.problems) from None

    def invalid(self, problems: Iterable[FieldProblem]) -> InvalidDocumentError:
        """Give the error for the problems, each with its line."""
        return InvalidDocumentError(self.what, tuple(self._with_line(p) for p in problems))

    def line(self, field: str) -> int | None:
        """Give the line of the dotted path, or of the nearest part above it that is there.

        A part that the text does not have is left out: of a document that may be of several
        kinds, problems name the kind too.
        """
        path: Path = ()
        for part in field.split("."):
            if (*path, part) in self.lines:
                path = (*path, part)
        return self.lines.get(path)

    def _with_line(self, problem: FieldProblem) -> FieldProblem:
        line = self.line(problem.field)
        if line is None:
            return problem
        return FieldProblem(field=problem.field, problem=f"{problem.problem} (line {line})")


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's plain scalars, unique keys and no aliases."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's way to configure a loader
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rpartition(":")[2] not in {"bool", "float", "timestamp", "int"}
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
    ) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            problem = "the key is there twice" if str(key.value) in seen else ""
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key must be a text"
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.inf|\.nan)$"
    ),
    list("-+.0123456789"),
)


def parse(text: str, *, what: str) -> YamlText:
    """Give the parsed YAML (JSON is YAML too).

    Raises:
        InvalidDocumentError: with the line and column of what is not YAML, or is not allowed.
    """
    if len(text) > MAX_CHARACTERS:
        raise _bad(what, "document", f"must have at most {MAX_CHARACTERS} characters")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "document"
        raise _bad(what, where, error.problem or "is not valid YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _bad(what, "document", "is not valid YAML") from None
    finally:
        loader.dispose()
    lines: dict[Path, int] = {}
    if node is not None:
        _mark(node, (), lines)
    return YamlText(what=what, content=content, lines=lines)


def _mark(node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _mark(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, str(index))
            lines[inner] = value.start_mark.line + 1
            _mark(value, inner, lines)


def _bad(what: str, field: str, problem: str) -> InvalidDocumentError:
    return InvalidDocumentError(what, (FieldProblem(field=field, problem=problem),))
