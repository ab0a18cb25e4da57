from protos.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportHeadRequest(_message.Message):
    __slots__ = ("head",)
    HEAD_FIELD_NUMBER: _ClassVar[int]
    head: _common_pb2.Document
    def __init__(self, head: _Optional[_Union[_common_pb2.Document, _Mapping]] = ...) -> None: ...

class ReportHeadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReceivedRequest(_message.Message):
    __slots__ = ("first",)
    FIRST_FIELD_NUMBER: _ClassVar[int]
    first: int
    def __init__(self, first: _Optional[int] = ...) -> None: ...

class ListReceivedResponse(_message.Message):
    __slots__ = ("entries", "size", "root")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    size: int
    root: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., size: _Optional[int] = ..., root: _Optional[str] = ...) -> None: ...
