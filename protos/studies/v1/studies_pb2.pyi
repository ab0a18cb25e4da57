import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from protos.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StudyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STUDY_STATE_UNSPECIFIED: _ClassVar[StudyState]
    STUDY_STATE_PROPOSED: _ClassVar[StudyState]
    STUDY_STATE_READY: _ClassVar[StudyState]
    STUDY_STATE_REFUSED: _ClassVar[StudyState]
    STUDY_STATE_RUNNING: _ClassVar[StudyState]
    STUDY_STATE_FINISHED: _ClassVar[StudyState]
STUDY_STATE_UNSPECIFIED: StudyState
STUDY_STATE_PROPOSED: StudyState
STUDY_STATE_READY: StudyState
STUDY_STATE_REFUSED: StudyState
STUDY_STATE_RUNNING: StudyState
STUDY_STATE_FINISHED: StudyState

class StudyStatus(_message.Message):
    __slots__ = ("study", "study_hash", "state", "approvals", "proposed_at", "proposed_by")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    STUDY_HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_AT_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_BY_FIELD_NUMBER: _ClassVar[int]
    study: _common_pb2.Document
    study_hash: str
    state: StudyState
    approvals: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    proposed_at: _timestamp_pb2.Timestamp
    proposed_by: str
    def __init__(self, study: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., study_hash: _Optional[str] = ..., state: _Optional[_Union[StudyState, str]] = ..., approvals: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., proposed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., proposed_by: _Optional[str] = ...) -> None: ...

class ProposeStudyRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: _common_pb2.Document
    def __init__(self, study: _Optional[_Union[_common_pb2.Document, _Mapping]] = ...) -> None: ...

class ProposeStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: StudyStatus
    def __init__(self, study: _Optional[_Union[StudyStatus, _Mapping]] = ...) -> None: ...

class GetStudyRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: str
    def __init__(self, study: _Optional[str] = ...) -> None: ...

class GetStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: StudyStatus
    def __init__(self, study: _Optional[_Union[StudyStatus, _Mapping]] = ...) -> None: ...

class ListStudiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListStudiesResponse(_message.Message):
    __slots__ = ("studies",)
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[StudyStatus]
    def __init__(self, studies: _Optional[_Iterable[_Union[StudyStatus, _Mapping]]] = ...) -> None: ...

class SubmitApprovalRequest(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _common_pb2.Document
    def __init__(self, approval: _Optional[_Union[_common_pb2.Document, _Mapping]] = ...) -> None: ...

class SubmitApprovalResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: StudyStatus
    def __init__(self, study: _Optional[_Union[StudyStatus, _Mapping]] = ...) -> None: ...
