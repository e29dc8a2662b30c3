"""Repairs the characters of a text: broken encodings, HTML leftovers, invisible marks, spaces."""

import re
import unicodedata

import ftfy

PLAIN = re.compile(r"[А-яЁё A-Za-z0-9.,:;?!()%+«»\"'\n№₽€$—–-]*")
"""Texts of these alone cannot hold a broken encoding, an entity or a tag."""

_FTFY = ftfy.TextFixerConfig(unescape_html=True, uncurl_quotes=False)
_TAGS = (
    "a|abbr|article|b|blockquote|body|br|button|center|code|div|em|font|footer|form|h[1-6]|head"
    "|header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|pre|s|section"
    "|select|small|span|strong|sub|sup|svg|table|tbody|td|th|thead|title|tr|u|ul"
)
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^>]*>.*?</\1>", re.I | re.S)
_BREAK = re.compile(
    r"<(?:br|hr|/?(?:p|div|li|tr|h[1-6]|ul|ol|table|section|blockquote))\b[^<>]*>", re.I
)
_TAG = re.compile(rf"</?(?:{_TAGS})\b[^<>]*>", re.I)
_UNSEEN = re.compile(r"[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SPACES = re.compile(r"[^\S\n]+")
_LINE_EDGES = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")


def repair(text: str) -> str:
    """Repairs a text.

    Encodings read wrongly are undone by ftfy (Speer 2019, ftfy.readthedocs.io), HTML entities and
    tags become text and line breaks, control and zero-width characters go, spaces of every kind
    become one, the form is Unicode's NFC.

    Args:
        text: Any text.

    Returns:
        The text with single spaces, at most one blank line in a row and bare ends.
    """
    if not PLAIN.fullmatch(text):
        text = _decoded(text)
    if "  " in text or "\n" in text or text != text.strip():
        text = _spaced(text)
    return text


def _decoded(text: str) -> str:
    text = ftfy.fix_text(text, _FTFY)
    if "<" in text:
        text = _untagged(text)
    text = _SPACES.sub(" ", _CONTROL.sub(" ", _UNSEEN.sub("", text)))
    return unicodedata.normalize("NFC", text)


def _untagged(text: str) -> str:
    if "-->" in text or "</s" in text.lower():
        text = _HIDDEN.sub(" ", text)
    return _TAG.sub("", _BREAK.sub("\n", text))


def _spaced(text: str) -> str:
    text = _LINE_EDGES.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()
