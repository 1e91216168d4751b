from offerer.wire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FromExecutor(_message.Message):
    __slots__ = ("register", "statuses")
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    register: RegisterHost
    statuses: _containers.RepeatedCompositeFieldContainer[_common_pb2.TaskStatus]
    def __init__(self, register: _Optional[_Union[RegisterHost, _Mapping]] = ..., statuses: _Optional[_Iterable[_Union[_common_pb2.TaskStatus, _Mapping]]] = ...) -> None: ...

class RegisterHost(_message.Message):
    __slots__ = ("version", "host_id", "name", "address", "attributes", "total", "tasks", "runtime", "software")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    version: int
    host_id: str
    name: str
    address: str
    attributes: _containers.ScalarMap[str, str]
    total: _common_pb2.Resources
    tasks: _containers.RepeatedCompositeFieldContainer[HeldTask]
    runtime: str
    software: str
    def __init__(self, version: _Optional[int] = ..., host_id: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., total: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[HeldTask, _Mapping]]] = ..., runtime: _Optional[str] = ..., software: _Optional[str] = ...) -> None: ...

class HeldTask(_message.Message):
    __slots__ = ("framework_id", "resources", "status")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    resources: _common_pb2.Resources
    status: _common_pb2.TaskStatus
    def __init__(self, framework_id: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., status: _Optional[_Union[_common_pb2.TaskStatus, _Mapping]] = ...) -> None: ...

class ToExecutor(_message.Message):
    __slots__ = ("term", "registered", "launches", "kills", "acks", "attachments")
    TERM_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    KILLS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    term: int
    registered: HostRegistered
    launches: _containers.RepeatedCompositeFieldContainer[LaunchTask]
    kills: _containers.RepeatedCompositeFieldContainer[KillTask]
    acks: _containers.RepeatedScalarFieldContainer[bytes]
    attachments: _containers.RepeatedCompositeFieldContainer[OpenAttachment]
    def __init__(self, term: _Optional[int] = ..., registered: _Optional[_Union[HostRegistered, _Mapping]] = ..., launches: _Optional[_Iterable[_Union[LaunchTask, _Mapping]]] = ..., kills: _Optional[_Iterable[_Union[KillTask, _Mapping]]] = ..., acks: _Optional[_Iterable[bytes]] = ..., attachments: _Optional[_Iterable[_Union[OpenAttachment, _Mapping]]] = ...) -> None: ...

class HostRegistered(_message.Message):
    __slots__ = ("heartbeat", "unreachable_after")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_AFTER_FIELD_NUMBER: _ClassVar[int]
    heartbeat: int
    unreachable_after: int
    def __init__(self, heartbeat: _Optional[int] = ..., unreachable_after: _Optional[int] = ...) -> None: ...

class LaunchTask(_message.Message):
    __slots__ = ("framework_id", "task")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    task: _common_pb2.TaskInfo
    def __init__(self, framework_id: _Optional[str] = ..., task: _Optional[_Union[_common_pb2.TaskInfo, _Mapping]] = ...) -> None: ...

class KillTask(_message.Message):
    __slots__ = ("framework_id", "task_id", "grace")
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    framework_id: str
    task_id: str
    grace: int
    def __init__(self, framework_id: _Optional[str] = ..., task_id: _Optional[str] = ..., grace: _Optional[int] = ...) -> None: ...

class OpenAttachment(_message.Message):
    __slots__ = ("attachment_id", "framework_id", "task_id", "logs", "inspect", "exec", "copy", "top", "container")
    ATTACHMENT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    INSPECT_FIELD_NUMBER: _ClassVar[int]
    EXEC_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    attachment_id: str
    framework_id: str
    task_id: str
    logs: LogsRequest
    inspect: InspectRequest
    exec: ExecRequest
    copy: CopyRequest
    top: TopRequest
    container: str
    def __init__(self, attachment_id: _Optional[str] = ..., framework_id: _Optional[str] = ..., task_id: _Optional[str] = ..., logs: _Optional[_Union[LogsRequest, _Mapping]] = ..., inspect: _Optional[_Union[InspectRequest, _Mapping]] = ..., exec: _Optional[_Union[ExecRequest, _Mapping]] = ..., copy: _Optional[_Union[CopyRequest, _Mapping]] = ..., top: _Optional[_Union[TopRequest, _Mapping]] = ..., container: _Optional[str] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("follow", "tail", "timestamps")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    tail: int
    timestamps: bool
    def __init__(self, follow: bool = ..., tail: _Optional[int] = ..., timestamps: bool = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExecRequest(_message.Message):
    __slots__ = ("command", "tty", "stdin", "user", "working_dir", "size")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    tty: bool
    stdin: bool
    user: str
    working_dir: str
    size: TerminalSize
    def __init__(self, command: _Optional[_Iterable[str]] = ..., tty: bool = ..., stdin: bool = ..., user: _Optional[str] = ..., working_dir: _Optional[str] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ...) -> None: ...

class TerminalSize(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class CopyRequest(_message.Message):
    __slots__ = ("path", "into")
    PATH_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    path: str
    into: bool
    def __init__(self, path: _Optional[str] = ..., into: bool = ...) -> None: ...

class TopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FromAttachment(_message.Message):
    __slots__ = ("attachment_id", "chunks", "error", "exit_code")
    ATTACHMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    attachment_id: str
    chunks: _containers.RepeatedCompositeFieldContainer[LogChunk]
    error: str
    exit_code: int
    def __init__(self, attachment_id: _Optional[str] = ..., chunks: _Optional[_Iterable[_Union[LogChunk, _Mapping]]] = ..., error: _Optional[str] = ..., exit_code: _Optional[int] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("stderr", "data")
    STDERR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    stderr: bool
    data: bytes
    def __init__(self, stderr: bool = ..., data: _Optional[bytes] = ...) -> None: ...

class ToAttachment(_message.Message):
    __slots__ = ("input", "end_of_input", "size")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    END_OF_INPUT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    input: bytes
    end_of_input: bool
    size: TerminalSize
    def __init__(self, input: _Optional[bytes] = ..., end_of_input: bool = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ...) -> None: ...
