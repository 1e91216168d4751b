from offerer.wire.v1 import common_pb2 as _common_pb2
from offerer.wire.v1 import executor_pb2 as _executor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStateRequest(_message.Message):
    __slots__ = ("hosts", "frameworks", "roles", "offers", "tasks")
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    hosts: bool
    frameworks: bool
    roles: bool
    offers: bool
    tasks: bool
    def __init__(self, hosts: bool = ..., frameworks: bool = ..., roles: bool = ..., offers: bool = ..., tasks: bool = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("hosts", "frameworks", "roles", "offers", "tasks", "term", "version", "recovering")
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[HostState]
    frameworks: _containers.RepeatedCompositeFieldContainer[FrameworkState]
    roles: _containers.RepeatedCompositeFieldContainer[RoleState]
    offers: _containers.RepeatedCompositeFieldContainer[OfferState]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRecord]
    term: int
    version: str
    recovering: bool
    def __init__(self, hosts: _Optional[_Iterable[_Union[HostState, _Mapping]]] = ..., frameworks: _Optional[_Iterable[_Union[FrameworkState, _Mapping]]] = ..., roles: _Optional[_Iterable[_Union[RoleState, _Mapping]]] = ..., offers: _Optional[_Iterable[_Union[OfferState, _Mapping]]] = ..., tasks: _Optional[_Iterable[_Union[TaskRecord, _Mapping]]] = ..., term: _Optional[int] = ..., version: _Optional[str] = ..., recovering: bool = ...) -> None: ...

class HostState(_message.Message):
    __slots__ = ("host_id", "name", "address", "state", "attributes", "total", "allocated", "offered", "tasks", "runtime", "software", "availability")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    name: str
    address: str
    state: str
    attributes: _containers.ScalarMap[str, str]
    total: _common_pb2.Resources
    allocated: _common_pb2.Resources
    offered: _common_pb2.Resources
    tasks: int
    runtime: str
    software: str
    availability: str
    def __init__(self, host_id: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., total: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., allocated: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., offered: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., tasks: _Optional[int] = ..., runtime: _Optional[str] = ..., software: _Optional[str] = ..., availability: _Optional[str] = ...) -> None: ...

class FrameworkState(_message.Message):
    __slots__ = ("framework_id", "role", "connected", "suppressed", "allocated", "offered", "tasks", "offers", "dominant_share", "demand")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    DOMINANT_SHARE_FIELD_NUMBER: _ClassVar[int]
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    role: str
    connected: bool
    suppressed: bool
    allocated: _common_pb2.Resources
    offered: _common_pb2.Resources
    tasks: int
    offers: int
    dominant_share: float
    demand: str
    def __init__(self, framework_id: _Optional[str] = ..., role: _Optional[str] = ..., connected: bool = ..., suppressed: bool = ..., allocated: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., offered: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., tasks: _Optional[int] = ..., offers: _Optional[int] = ..., dominant_share: _Optional[float] = ..., demand: _Optional[str] = ...) -> None: ...

class RoleState(_message.Message):
    __slots__ = ("role", "weight_milli", "guarantee", "limit", "allocated", "dominant_share", "frameworks")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_MILLI_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    DOMINANT_SHARE_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    role: str
    weight_milli: int
    guarantee: _common_pb2.Resources
    limit: Quota
    allocated: _common_pb2.Resources
    dominant_share: float
    frameworks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, role: _Optional[str] = ..., weight_milli: _Optional[int] = ..., guarantee: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., limit: _Optional[_Union[Quota, _Mapping]] = ..., allocated: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., dominant_share: _Optional[float] = ..., frameworks: _Optional[_Iterable[str]] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("amounts",)
    class AmountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    amounts: _containers.ScalarMap[str, int]
    def __init__(self, amounts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class OfferState(_message.Message):
    __slots__ = ("id", "host_id", "host", "framework_id", "role", "resources", "since", "until")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    id: int
    host_id: str
    host: str
    framework_id: str
    role: str
    resources: _common_pb2.Resources
    since: int
    until: int
    def __init__(self, id: _Optional[int] = ..., host_id: _Optional[str] = ..., host: _Optional[str] = ..., framework_id: _Optional[str] = ..., role: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., since: _Optional[int] = ..., until: _Optional[int] = ...) -> None: ...

class TaskRecord(_message.Message):
    __slots__ = ("framework_id", "status", "resources", "host")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    status: _common_pb2.TaskStatus
    resources: _common_pb2.Resources
    host: str
    def __init__(self, framework_id: _Optional[str] = ..., status: _Optional[_Union[_common_pb2.TaskStatus, _Mapping]] = ..., resources: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., host: _Optional[str] = ...) -> None: ...

class SetRoleRequest(_message.Message):
    __slots__ = ("role", "weight_milli", "guarantee", "limit")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_MILLI_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    role: str
    weight_milli: int
    guarantee: Quota
    limit: Quota
    def __init__(self, role: _Optional[str] = ..., weight_milli: _Optional[int] = ..., guarantee: _Optional[_Union[Quota, _Mapping]] = ..., limit: _Optional[_Union[Quota, _Mapping]] = ...) -> None: ...

class RemoveHostRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class RemoveHostResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetAvailabilityRequest(_message.Message):
    __slots__ = ("host", "availability")
    HOST_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    host: str
    availability: str
    def __init__(self, host: _Optional[str] = ..., availability: _Optional[str] = ...) -> None: ...

class KillTaskRequest(_message.Message):
    __slots__ = ("framework_id", "task_id", "grace")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    task_id: str
    grace: int
    def __init__(self, framework_id: _Optional[str] = ..., task_id: _Optional[str] = ..., grace: _Optional[int] = ...) -> None: ...

class KillTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("after", "follow")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    after: int
    follow: bool
    def __init__(self, after: _Optional[int] = ..., follow: bool = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "at", "kind", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: int
    at: int
    kind: str
    fields: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[int] = ..., at: _Optional[int] = ..., kind: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CallRequest(_message.Message):
    __slots__ = ("framework_id", "method", "arguments", "timeout")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    method: str
    arguments: bytes
    timeout: int
    def __init__(self, framework_id: _Optional[str] = ..., method: _Optional[str] = ..., arguments: _Optional[bytes] = ..., timeout: _Optional[int] = ...) -> None: ...

class CallResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    def __init__(self, answer: _Optional[bytes] = ...) -> None: ...

class TaskRequest(_message.Message):
    __slots__ = ("framework_id", "task_id", "host_id", "container")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    task_id: str
    host_id: str
    container: str
    def __init__(self, framework_id: _Optional[str] = ..., task_id: _Optional[str] = ..., host_id: _Optional[str] = ..., container: _Optional[str] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("task", "exec", "copy", "top", "input")
    TASK_FIELD_NUMBER: _ClassVar[int]
    EXEC_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    task: TaskRequest
    exec: _executor_pb2.ExecRequest
    copy: _executor_pb2.CopyRequest
    top: _executor_pb2.TopRequest
    input: _executor_pb2.ToAttachment
    def __init__(self, task: _Optional[_Union[TaskRequest, _Mapping]] = ..., exec: _Optional[_Union[_executor_pb2.ExecRequest, _Mapping]] = ..., copy: _Optional[_Union[_executor_pb2.CopyRequest, _Mapping]] = ..., top: _Optional[_Union[_executor_pb2.TopRequest, _Mapping]] = ..., input: _Optional[_Union[_executor_pb2.ToAttachment, _Mapping]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("chunks", "exit_code")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[_executor_pb2.LogChunk]
    exit_code: int
    def __init__(self, chunks: _Optional[_Iterable[_Union[_executor_pb2.LogChunk, _Mapping]]] = ..., exit_code: _Optional[int] = ...) -> None: ...

class TaskLogsRequest(_message.Message):
    __slots__ = ("task", "options")
    TASK_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    task: TaskRequest
    options: _executor_pb2.LogsRequest
    def __init__(self, task: _Optional[_Union[TaskRequest, _Mapping]] = ..., options: _Optional[_Union[_executor_pb2.LogsRequest, _Mapping]] = ...) -> None: ...

class LogChunks(_message.Message):
    __slots__ = ("chunks",)
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[_executor_pb2.LogChunk]
    def __init__(self, chunks: _Optional[_Iterable[_Union[_executor_pb2.LogChunk, _Mapping]]] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class RangeRequest(_message.Message):
    __slots__ = ("prefix", "exact")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    exact: bool
    def __init__(self, prefix: _Optional[str] = ..., exact: bool = ...) -> None: ...

class StoreEntry(_message.Message):
    __slots__ = ("key", "value", "revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    revision: int
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ..., revision: _Optional[int] = ...) -> None: ...

class RangeResponse(_message.Message):
    __slots__ = ("entries", "revision")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[StoreEntry]
    revision: int
    def __init__(self, entries: _Optional[_Iterable[_Union[StoreEntry, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class TransactRequest(_message.Message):
    __slots__ = ("changes", "compares")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COMPARES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[StoreEntry]
    compares: _containers.RepeatedCompositeFieldContainer[StoreCompare]
    def __init__(self, changes: _Optional[_Iterable[_Union[StoreEntry, _Mapping]]] = ..., compares: _Optional[_Iterable[_Union[StoreCompare, _Mapping]]] = ...) -> None: ...

class StoreCompare(_message.Message):
    __slots__ = ("key", "revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key: str
    revision: int
    def __init__(self, key: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class TransactResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("prefix", "after")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    after: int
    def __init__(self, prefix: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Changes(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[StoreEntry]
    def __init__(self, changes: _Optional[_Iterable[_Union[StoreEntry, _Mapping]]] = ...) -> None: ...
