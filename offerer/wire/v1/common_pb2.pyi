from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    STAGING: _ClassVar[TaskState]
    STARTING: _ClassVar[TaskState]
    RUNNING: _ClassVar[TaskState]
    KILLING: _ClassVar[TaskState]
    UNREACHABLE: _ClassVar[TaskState]
    FINISHED: _ClassVar[TaskState]
    FAILED: _ClassVar[TaskState]
    KILLED: _ClassVar[TaskState]
    ERROR: _ClassVar[TaskState]
    DROPPED: _ClassVar[TaskState]
    GONE: _ClassVar[TaskState]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[Reason]
    INVALID_OFFER: _ClassVar[Reason]
    INVALID_TASK: _ClassVar[Reason]
    INVALID_SPEC: _ClassVar[Reason]
    HOST_UNREACHABLE: _ClassVar[Reason]
    HOST_REMOVED: _ClassVar[Reason]
    NOT_DELIVERED: _ClassVar[Reason]
    RECONCILIATION: _ClassVar[Reason]
    IMAGE_PULL_FAILED: _ClassVar[Reason]
    START_FAILED: _ClassVar[Reason]
    EXITED: _ClassVar[Reason]
    OUT_OF_MEMORY: _ClassVar[Reason]
    KILL_REQUESTED: _ClassVar[Reason]
    CONTAINER_LOST: _ClassVar[Reason]
    HOST_RECOVERED: _ClassVar[Reason]
    UNHEALTHY: _ClassVar[Reason]
TASK_STATE_UNSPECIFIED: TaskState
STAGING: TaskState
STARTING: TaskState
RUNNING: TaskState
KILLING: TaskState
UNREACHABLE: TaskState
FINISHED: TaskState
FAILED: TaskState
KILLED: TaskState
ERROR: TaskState
DROPPED: TaskState
GONE: TaskState
NONE: Reason
INVALID_OFFER: Reason
INVALID_TASK: Reason
INVALID_SPEC: Reason
HOST_UNREACHABLE: Reason
HOST_REMOVED: Reason
NOT_DELIVERED: Reason
RECONCILIATION: Reason
IMAGE_PULL_FAILED: Reason
START_FAILED: Reason
EXITED: Reason
OUT_OF_MEMORY: Reason
KILL_REQUESTED: Reason
CONTAINER_LOST: Reason
HOST_RECOVERED: Reason
UNHEALTHY: Reason

class Resources(_message.Message):
    __slots__ = ("cpus", "memory", "disk", "gpus", "counts", "ports")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    DISK_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    cpus: int
    memory: int
    disk: int
    gpus: int
    counts: _containers.ScalarMap[str, int]
    ports: _containers.RepeatedCompositeFieldContainer[PortRange]
    def __init__(self, cpus: _Optional[int] = ..., memory: _Optional[int] = ..., disk: _Optional[int] = ..., gpus: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., ports: _Optional[_Iterable[_Union[PortRange, _Mapping]]] = ...) -> None: ...

class PortRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class TaskInfo(_message.Message):
    __slots__ = ("task_id", "resources", "spec")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    resources: Resources
    spec: bytes
    def __init__(self, task_id: _Optional[str] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., spec: _Optional[bytes] = ...) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("task_id", "state", "host_id", "reason", "message", "exit_code", "at", "uuid", "data", "framework_id", "healthy", "draining")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    state: TaskState
    host_id: str
    reason: Reason
    message: str
    exit_code: int
    at: int
    uuid: bytes
    data: bytes
    framework_id: str
    healthy: bool
    draining: bool
    def __init__(self, task_id: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., host_id: _Optional[str] = ..., reason: _Optional[_Union[Reason, str]] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., at: _Optional[int] = ..., uuid: _Optional[bytes] = ..., data: _Optional[bytes] = ..., framework_id: _Optional[str] = ..., healthy: bool = ..., draining: bool = ...) -> None: ...
