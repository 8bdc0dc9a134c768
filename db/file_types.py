"""What a file is, told by its content: the kinds that may stand with a customer, and nothing that a browser runs."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping

_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
MEDIA_TYPES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "docx": f"{_OPEN_XML}wordprocessingml.document",
    "xlsx": f"{_OPEN_XML}spreadsheetml.sheet",
    "pptx": f"{_OPEN_XML}presentationml.presentation",
    "odt": f"{_OPEN_DOCUMENT}text",
    "ods": f"{_OPEN_DOCUMENT}spreadsheet",
    "odp": f"{_OPEN_DOCUMENT}presentation",
    "txt": "text/plain",
    "csv": "text/csv",
}
"""The end of the name → its type. Plain text has no signature: its name says which it is."""
_TEXTS = ("text/plain", "text/csv")
_MAIN_PARTS = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx", "ppt/presentation.xml": "pptx"}
_MOST_PARTS = 20_000
_MACROS = ("vbaproject.bin", "vbadata.xml")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def ending(name: str) -> str:
    """The end of a file's name, in lower case: 'Offer.PDF' → 'pdf'; '' without one."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def media_type(name: str, content: bytes) -> str:
    """The type on which name and content agree, else ''."""
    claimed = MEDIA_TYPES.get(ending(name), "")
    found = _by_signature(content) or _by_parts(content)
    if claimed in _TEXTS:
        return claimed if not found and _is_text(content) else ""
    return claimed if claimed and claimed == found else ""


def _by_signature(content: bytes) -> str:
    for start, kind in ((b"%PDF-", "pdf"), (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg")):
        if content.startswith(start):
            return MEDIA_TYPES[kind]
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return MEDIA_TYPES["gif"]
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return MEDIA_TYPES["webp"]
    return ""


def _by_parts(content: bytes) -> str:
    """Office documents are zip archives with parts of known names; none is unpacked but the few bytes of a type."""
    if not content.startswith(b"PK\x03\x04"):
        return ""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if len(parts) > _MOST_PARTS or any(name.lower().endswith(_MACROS) for name in names):
                return ""
            kinds = [kind for part, kind in _MAIN_PARTS.items() if part in names]
            if "[Content_Types].xml" in names and len(kinds) == 1:
                return MEDIA_TYPES[kinds[0]]
            first = parts[0] if parts else None
            if first and first.filename == "mimetype" and first.compress_type == zipfile.ZIP_STORED:
                with archive.open(first) as written:
                    said = written.read(100).decode("ascii")
                return said if said in MEDIA_TYPES.values() and said.startswith(_OPEN_DOCUMENT) else ""
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, EOFError, OSError, OverflowError):
        return ""
    return ""


def _is_text(content: bytes) -> bool:
    """Text in UTF-8 (with or without its mark) or GB18030, without control characters."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return not _CONTROL.search(text)
    return False
