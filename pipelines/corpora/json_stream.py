"""A JSON file too big to load: its top-level keys in turn, its arrays of objects a block at a time.

An array is cut where one object ends and the next begins (`}`, a comma, `{`) and each block is decoded by
msgspec. A cut that turns out to be wrong, inside a string or a nested array, does not decode: then the
block's objects are measured one by one. So what decodes is what a reader of the whole file would see.
"""

import re
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

import msgspec

from pipelines.corpora.source import CorpusError

T = TypeVar("T")

BLOCK_BYTES = 2 << 20
LARGEST_OBJECT_BYTES = 64 << 20  # a longer one is taken for a string or bracket that never closes
_CUTS_TRIED = 32

_SPACE = re.compile(rb"[ \t\r\n]*")
_CUT = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_AFTER_ITEM = re.compile(rb"[ \t\r\n]*(?:,[ \t\r\n]*(?=[^ \t\r\n,\]}])|(\]))")
_AFTER_ITEM_SO_FAR = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_MARKS = re.compile(rb'["\[\]{}]')
_STRING_END = re.compile(rb'(?:[^"\\]|\\.)*"', re.DOTALL)
_BARE_END = re.compile(rb"[,\]}\s]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_QUOTE = re.compile(rb'[ \t\r\n,]*"')
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")


@dataclass(frozen=True)
class BadObject:
    """One object of an array that is JSON but not of its type."""

    index: int  # in its array, from 0
    raw: bytes
    message: str


@dataclass(frozen=True)
class Block(Generic[T]):
    """A stretch of an array."""

    rows: list[T]
    faults: list[BadObject]


def fields(text: bytes, wanted: Container[str]) -> dict[str, Any]:
    """Values of some keys of a JSON object that is well formed; those that do not decode are left out.

    However deep the other values are: they are measured, not decoded.
    """
    found: dict[str, Any] = {}
    at = text.find(b"{") + 1
    while quote := _QUOTE.match(text, at):
        start = quote.end() - 1
        end = value_end(text, start)
        colon = _COLON.match(text, end) if end else None
        at = value_end(text, colon.end()) or 0 if colon else 0
        if colon is None or not at:
            break
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            key = msgspec.json.decode(text[start:end], type=str)
            if key in wanted:
                found[key] = msgspec.json.decode(text[colon.end() : at])
    return found


def _values(array: bytes) -> Iterator[bytes]:
    """The values of a JSON array, not decoded; DecodeError where brackets and commas are no such array's."""
    at, closed = 1, False
    while not closed:
        space = _SPACE.match(array, at)
        start = space.end() if space else at
        end = value_end(array, start)
        separator = _AFTER_ITEM.match(array, end) if end is not None and end > start else None
        if separator is None:
            raise msgspec.DecodeError("not an array")
        yield array[start:end]
        at, closed = separator.end(), separator[1] is not None
    if at < len(array):
        raise msgspec.DecodeError("more than an array")


class _Anything(msgspec.Struct):
    """An object whose fields are passed over."""


def value_end(text: bytes, start: int) -> int | None:
    """Where the JSON value that starts at `start` ends; None where `text` stops before it. Only measures."""
    if text[start : start + 1] not in (b"{", b"[", b'"'):
        bare = _BARE_END.search(text, start)
        return bare.start() if bare else None
    depth, at = 0, start
    while mark := _MARKS.search(text, at):
        at = mark.end()
        if mark[0] == b'"':
            string = _STRING_END.match(text, at)
            if string is None:
                return None
            at = string.end()
        else:
            depth += 1 if mark[0] in b"[{" else -1
        if depth == 0:
            return at
    return None


class JsonStream:
    """Reads one JSON object from a binary file: `for key in stream.keys()`, then `array` or nothing."""

    def __init__(self, file: IO[bytes], name: str, block_bytes: int = BLOCK_BYTES) -> None:
        """`name` is how errors call the file; about `block_bytes` are read and decoded at a time."""
        self._file, self._name, self._block_bytes = file, name, block_bytes
        self._buffer, self._at, self._base = b"", 0, 0
        self._ended = False
        self._value_open = False

    @property
    def position(self) -> int:
        """Offset in the file of the next byte to be read."""
        return self._base + self._at

    def seek(self, position: int) -> None:
        """Go to a `position` noted where a value begins; the value may then be read again."""
        self._file.seek(position)
        self._buffer, self._at, self._base = b"", 0, position
        self._ended = False
        self._value_open = True

    def keys(self) -> Iterator[str]:
        """The keys of the file's object in their order; CorpusError where the file is not one JSON object."""
        self._grow()
        if self._buffer.startswith(b"\xef\xbb\xbf"):  # a byte order mark
            self._at = 3
        if self._peek() == b"":
            raise self._error("the file is empty", "Download it again")
        if self._peek() != b"{":
            raise self._error(
                f"expected a JSON object, found {self._found()}", "Give the official file, unpacked"
            )
        self._at += 1
        seen: set[str] = set()
        closing = self._peek() == b"}"
        while not closing:
            key = self._key()
            if key in seen:
                raise self._error(f"the key {key!r} appears twice", "Keep one of them")
            seen.add(key)
            self._value_open = True
            yield key
            if self._value_open:
                self.skip()
            if self._peek() not in (b",", b"}"):
                raise self._error(f"expected ',' or '}}', found {self._found()}", self._remedy())
            closing = self._peek() == b"}"
            self._at += 1
        if self._peek() != b"":
            raise self._error(
                f"expected the end of the file, found {self._found()}", "Remove what follows the object"
            )

    def skip(self) -> None:
        """Pass over the value of the present key."""
        if self._peek() == b"[" and self._peek(1) == b"{":
            for _ in self.array(_Anything):
                pass
            return
        self.value()

    def value(self) -> Any:
        """The value of the present key, decoded whole: for small ones."""
        while (end := value_end(self._buffer, self._at)) is None:
            if self._ended or len(self._buffer) - self._at > LARGEST_OBJECT_BYTES:
                raise self._unclosed("value")
            self._grow(len(self._buffer))
        text = self._buffer[self._at : end]
        value = self._decoded(text, self.position, Any)
        self._at, self._value_open = end, False
        return value

    def array(self, row_type: type[T]) -> Iterator[Block[T]]:
        """The array of objects at the present key, each object as `row_type`; unlike ones become faults."""
        if self._peek() != b"[":
            raise self._error(
                f"expected an array of objects, found {self._found()}", "Give the official file"
            )
        self._at += 1
        index = 0
        closed = self._peek() == b"]"
        if closed:
            self._at += 1
        elif self._peek() != b"{":
            raise self._error(
                f"expected an array of objects, found {self._found()}", "Give the official file"
            )
        while not closed:
            if len(self._buffer) - self._at < self._block_bytes:
                self._grow()
            cut = self._fast_block(row_type, index)
            if cut is None:
                block, after, closed = self._exact_block(row_type, index)
            else:
                block, after = cut
            self._at = after
            index += len(block.rows) + len(block.faults)
            yield block
        self._value_open = False

    def _fast_block(self, row_type: type[T], index: int) -> tuple[Block[T], int] | None:
        """The objects up to the last likely cut in the buffer, and where the next starts; None: no luck."""
        until = len(self._buffer)
        for _ in range(_CUTS_TRIED):
            brace = self._buffer.rfind(b"}", self._at, until)
            if brace < 0:
                return None
            cut = _CUT.match(self._buffer, brace + 1)
            if cut:
                try:
                    return self._rows(self._buffer[self._at : brace + 1], row_type, index), cut.end()
                except msgspec.DecodeError:
                    return None
            until = brace
        return None

    def _exact_block(self, row_type: type[T], index: int) -> tuple[Block[T], int, bool]:
        """The objects complete in the buffer, where what follows starts, whether the array ends there."""
        while True:
            last, after, closed, at = -1, -1, False, self._at
            while not closed and (end := value_end(self._buffer, at)) is not None:
                separator = _AFTER_ITEM.match(self._buffer, end)
                if separator is None:
                    rest = _AFTER_ITEM_SO_FAR.match(self._buffer, end)
                    if rest and rest.end() < len(self._buffer):
                        self._at = rest.end()
                        raise self._error(
                            f"expected ',' and a value, or ']', found {self._found()}", self._remedy()
                        )
                    break
                last, after, closed, at = end, separator.end(), separator[1] is not None, separator.end()
            if last >= 0:
                break
            if self._ended or len(self._buffer) - self._at > LARGEST_OBJECT_BYTES:
                raise self._unclosed("object")
            self._grow(len(self._buffer))
        text = self._buffer[self._at : last]
        try:
            return self._rows(text, row_type, index), after, closed
        except msgspec.DecodeError:
            self._decoded(b"[" + text + b"]", self.position - 1, list[_Anything])
            raise  # unreachable unless the two decoders disagree

    def _rows(self, text: bytes, row_type: type[T], index: int) -> Block[T]:
        array = b"[" + text + b"]"
        try:
            return Block(msgspec.json.decode(array, type=list[row_type]), [])  # type: ignore[valid-type]
        except UnicodeDecodeError as error:
            raise self._not_utf8(text, self.position) from error
        except (msgspec.ValidationError, RecursionError):
            rows, faults = [], []
            for row, raw in enumerate(_values(array)):
                try:
                    rows.append(msgspec.json.decode(raw, type=row_type))
                except msgspec.ValidationError as error:
                    faults.append(BadObject(index + row, raw, str(error)))
                except UnicodeDecodeError as error:
                    raise self._not_utf8(text, self.position) from error
                except RecursionError:
                    faults.append(BadObject(index + row, raw, "brackets nested too deep"))
            return Block(rows, faults)

    def _decoded(self, text: bytes, offset: int, value_type: Any) -> Any:
        """The value of `text`, which begins at byte `offset`; CorpusError at the byte that is malformed."""
        try:
            return msgspec.json.decode(text, type=value_type)
        except RecursionError as error:
            raise self._error("brackets nested too deep", self._remedy(), offset) from error
        except UnicodeDecodeError as error:
            raise self._not_utf8(text, offset) from error
        except msgspec.DecodeError as error:
            at = _BYTE.search(str(error))
            message = _BYTE.sub("", str(error)).strip()
            raise self._error(message, self._remedy(), offset + (int(at[1]) if at else 0)) from error

    def _not_utf8(self, text: bytes, offset: int) -> CorpusError:
        """Of `text`, which begins at byte `offset`; msgspec tells the place in its string alone."""
        try:
            text.decode()
        except UnicodeDecodeError as error:
            byte = text[error.start]
            rule = f"0x{byte:02x} is not UTF-8 (in Latin-1 it is {chr(byte)!r})"
            return self._error(rule, "Download the file again, or save it as UTF-8", offset + error.start)
        raise AssertionError(f"{self._name}: two decoders disagree")

    def _key(self) -> str:
        if self._peek() != b'"':
            raise self._error(f"expected a key, found {self._found()}", self._remedy())
        while (end := value_end(self._buffer, self._at)) is None:
            if self._ended:
                raise self._unclosed("key")
            self._grow()
        key = self._decoded(self._buffer[self._at : end], self.position, str)
        self._at = end
        if self._peek() != b":":
            raise self._error(f"expected ':' after the key {key!r}, found {self._found()}", self._remedy())
        self._at += 1
        self._peek()
        return key

    def _peek(self, ahead: int = 0) -> bytes:
        """The next byte that is no space (`ahead` 1: the one after it, past spaces too); empty at the end."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            at = space.end() if space else self._at
            if ahead:
                second = _SPACE.match(self._buffer, at + 1)
                peeked = second.end() if second else at
            else:
                self._at = peeked = at
            if peeked < len(self._buffer) or self._ended:
                return self._buffer[peeked : peeked + 1]
            self._grow()

    def _grow(self, size: int = 0) -> None:
        """Read on: at least a block, unless the file ends."""
        more = self._file.read(max(size, self._block_bytes))
        self._ended = not more
        self._base += self._at
        self._buffer, self._at = self._buffer[self._at :] + more, 0

    def _found(self) -> str:
        return (
            repr(self._buffer[self._at : self._at + 20].decode("utf-8", "replace"))
            if self._peek()
            else "the end"
        )

    def _remedy(self) -> str:
        return "Check the file's size and checksum and download it again"

    def _unclosed(self, what: str) -> CorpusError:
        if not self._ended:
            rule = f"the {what} that starts here is longer than {LARGEST_OBJECT_BYTES} bytes or never closes"
            return self._error(rule, self._remedy())
        end = self._base + len(self._buffer)
        return self._error(
            f"the file ends inside the {what} that starts at byte {self.position}", self._remedy(), end
        )

    def _error(self, rule: str, remedy: str, offset: int | None = None) -> CorpusError:
        return CorpusError(self._name, f"byte {self.position if offset is None else offset}", rule, remedy)
