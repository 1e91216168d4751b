from offerer.wire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Interest(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNCHANGED: _ClassVar[Interest]
    SUPPRESS: _ClassVar[Interest]
    REVIVE: _ClassVar[Interest]
UNCHANGED: Interest
SUPPRESS: Interest
REVIVE: Interest

class FromFramework(_message.Message):
    __slots__ = ("register", "acks", "accepts", "declines", "kills", "demand", "interest", "results")
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_FIELD_NUMBER: _ClassVar[int]
    DECLINES_FIELD_NUMBER: _ClassVar[int]
    KILLS_FIELD_NUMBER: _ClassVar[int]
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    INTEREST_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    register: RegisterFramework
    acks: _containers.RepeatedScalarFieldContainer[bytes]
    accepts: _containers.RepeatedCompositeFieldContainer[Accept]
    declines: _containers.RepeatedCompositeFieldContainer[Decline]
    kills: _containers.RepeatedCompositeFieldContainer[Kill]
    demand: Demand
    interest: Interest
    results: _containers.RepeatedCompositeFieldContainer[CallResult]
    def __init__(self, register: _Optional[_Union[RegisterFramework, _Mapping]] = ..., acks: _Optional[_Iterable[bytes]] = ..., accepts: _Optional[_Iterable[_Union[Accept, _Mapping]]] = ..., declines: _Optional[_Iterable[_Union[Decline, _Mapping]]] = ..., kills: _Optional[_Iterable[_Union[Kill, _Mapping]]] = ..., demand: _Optional[_Union[Demand, _Mapping]] = ..., interest: _Optional[_Union[Interest, str]] = ..., results: _Optional[_Iterable[_Union[CallResult, _Mapping]]] = ...) -> None: ...

class RegisterFramework(_message.Message):
    __slots__ = ("version", "framework_id", "role", "failover_timeout", "tasks", "software")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    FAILOVER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    version: int
    framework_id: str
    role: str
    failover_timeout: int
    tasks: _containers.RepeatedCompositeFieldContainer[BelievedTask]
    software: str
    def __init__(self, version: _Optional[int] = ..., framework_id: _Optional[str] = ..., role: _Optional[str] = ..., failover_timeout: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[BelievedTask, _Mapping]]] = ..., software: _Optional[str] = ...) -> None: ...

class BelievedTask(_message.Message):
    __slots__ = ("task_id", "host_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    host_id: str
    def __init__(self, task_id: _Optional[str] = ..., host_id: _Optional[str] = ...) -> None: ...

class Accept(_message.Message):
    __slots__ = ("offer_ids", "tasks", "refuse_for")
    OFFER_IDS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    REFUSE_FOR_FIELD_NUMBER: _ClassVar[int]
    offer_ids: _containers.RepeatedScalarFieldContainer[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_common_pb2.TaskInfo]
    refuse_for: int
    def __init__(self, offer_ids: _Optional[_Iterable[int]] = ..., tasks: _Optional[_Iterable[_Union[_common_pb2.TaskInfo, _Mapping]]] = ..., refuse_for: _Optional[int] = ...) -> None: ...

class Decline(_message.Message):
    __slots__ = ("offer_ids", "refuse_for")
    OFFER_IDS_FIELD_NUMBER: _ClassVar[int]
    REFUSE_FOR_FIELD_NUMBER: _ClassVar[int]
    offer_ids: _containers.RepeatedScalarFieldContainer[int]
    refuse_for: int
    def __init__(self, offer_ids: _Optional[_Iterable[int]] = ..., refuse_for: _Optional[int] = ...) -> None: ...

class Kill(_message.Message):
    __slots__ = ("task_id", "grace")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    grace: int
    def __init__(self, task_id: _Optional[str] = ..., grace: _Optional[int] = ...) -> None: ...

class Demand(_message.Message):
    __slots__ = ("everything", "wants", "choice")
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    everything: bool
    wants: _containers.RepeatedCompositeFieldContainer[Want]
    choice: int
    def __init__(self, everything: bool = ..., wants: _Optional[_Iterable[_Union[Want, _Mapping]]] = ..., choice: _Optional[int] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("resources", "count", "constraints", "per_host")
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    PER_HOST_FIELD_NUMBER: _ClassVar[int]
    resources: _common_pb2.Resources
    count: int
    constraints: _containers.RepeatedCompositeFieldContainer[Constraint]
    per_host: int
    def __init__(self, resources: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., count: _Optional[int] = ..., constraints: _Optional[_Iterable[_Union[Constraint, _Mapping]]] = ..., per_host: _Optional[int] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("attribute", "operator", "values")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    operator: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attribute: _Optional[str] = ..., operator: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class ToFramework(_message.Message):
    __slots__ = ("registered", "statuses", "rescinded", "offers", "calls")
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    RESCINDED_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    registered: FrameworkRegistered
    statuses: _containers.RepeatedCompositeFieldContainer[_common_pb2.TaskStatus]
    rescinded: _containers.RepeatedScalarFieldContainer[int]
    offers: _containers.RepeatedCompositeFieldContainer[Offer]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    def __init__(self, registered: _Optional[_Union[FrameworkRegistered, _Mapping]] = ..., statuses: _Optional[_Iterable[_Union[_common_pb2.TaskStatus, _Mapping]]] = ..., rescinded: _Optional[_Iterable[int]] = ..., offers: _Optional[_Iterable[_Union[Offer, _Mapping]]] = ..., calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ...) -> None: ...

class FrameworkRegistered(_message.Message):
    __slots__ = ("heartbeat", "term", "tasks")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    heartbeat: int
    term: int
    tasks: _containers.RepeatedCompositeFieldContainer[_common_pb2.TaskStatus]
    def __init__(self, heartbeat: _Optional[int] = ..., term: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[_common_pb2.TaskStatus, _Mapping]]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("id", "host_id", "role", "resources", "host")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    id: int
    host_id: str
    role: str
    resources: _common_pb2.Resources
    host: Host
    def __init__(self, id: _Optional[int] = ..., host_id: _Optional[str] = ..., role: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.Resources, _Mapping]] = ..., host: _Optional[_Union[Host, _Mapping]] = ...) -> None: ...

class Host(_message.Message):
    __slots__ = ("name", "address", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "method", "arguments")
    ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    method: str
    arguments: bytes
    def __init__(self, id: _Optional[int] = ..., method: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("id", "answer", "error", "message")
    ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: int
    answer: bytes
    error: str
    message: str
    def __init__(self, id: _Optional[int] = ..., answer: _Optional[bytes] = ..., error: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
