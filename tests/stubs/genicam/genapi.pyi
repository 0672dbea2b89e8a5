"""What we use of genicam.genapi, which has no types."""

class GenericException(Exception): ...

class EAccessMode:
    NI: int
    NA: int
    WO: int
    RW: int

class AbstractPort: ...

class IValue:
    def get_access_mode(self) -> int: ...
    def from_string(self, ValueStr: str, Verify: bool = True) -> None: ...
    def to_string(self, Verify: bool = False, IgnoreCache: bool = False) -> str: ...

class ICommand(IValue):
    def execute(self) -> None: ...

class IInteger(IValue):
    min: int
    max: int

class IFloat(IValue):
    min: float
    max: float

class IEnumeration(IValue):
    symbolics: tuple[str, ...]

class NodeMap:
    def load_xml_from_string(self, XMLData: str) -> None: ...
    def connect(self, *args: object) -> None: ...
    def has_node(self, names: str) -> bool: ...
    def get_node(self, key: str) -> IValue: ...
