"""Finds web addresses in messages and takes out those that are not the bank's."""

import re
from collections.abc import Callable, Iterable

_DOTTED = re.compile(r"\.[^\W\d_]{2}")

_ENDINGS = "ru|рф|su|com|org|net|info|io|me|biz|online|site|shop|app|dev|pro|tv|cc|ly|by|kz|ua"
_LINK = re.compile(
    rf"""(?<![\w@.-])(?:
        [a-z][a-z0-9+.-]{{1,20}}://[^\s<>«»"]+
      | www\.[^\s<>«»"]+
      | (?:[\w-]{{1,63}}\.){{1,5}}(?:{_ENDINGS})(?![\w@-])(?:[/?#][^\s<>«»"]*)?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_AFTER_PREPOSITION = re.compile(
    rf"(?<!\w)(?:на|в|во|по|с|со|из|через|к|от|до|о|об)[ ]+(?P<link>{_LINK.pattern})",
    re.IGNORECASE | re.VERBOSE,
)
_MARKDOWN = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]{4,2000})\)")
_HOST = re.compile(r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?([^/:?#]+)", re.IGNORECASE)
_TAIL = ".,;:!?)]}…"
_EMPTY_BRACKETS = re.compile(r" ?(?:\(\s*\)|\[\s*\]|«\s*»|\"\s*\"|<\s*>)")
_SPACE_BEFORE_MARK = re.compile(r"[ ]+([.,;:!?])")
_MARKS_AFTER_COLON = re.compile(r":\s*([.!?]|$)")


def may_hold_link(text: str) -> bool:
    """Tells, at a glance, whether a text may hold an address.

    Args:
        text: Any text.
    """
    return "://" in text or _DOTTED.search(text) is not None


def host_of(link: str) -> str:
    """Gives the host of an address, in lower case and without `www.`.

    Args:
        link: With or without a scheme.
    """
    found = _HOST.match(link)
    return found.group(1).lower().removeprefix("www.") if found else ""


def is_own(link: str, domains: Iterable[str]) -> bool:
    """Tells whether an address lies on one of the domains or below.

    Args:
        link: With or without a scheme.
        domains: For example `finist.ru`, which also covers `www.finist.ru` and `m.finist.ru`.
    """
    host = host_of(link)
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def strip_links(text: str, keep: Callable[[str], bool]) -> str:
    """Takes the web addresses out of a text; e-mail addresses stay.

    Args:
        text: Any text; `[words](address)` of Markdown becomes its words.
        keep: Says whether an address stays.

    Returns:
        The text, tidied where something was taken out.
    """
    if not may_hold_link(text):
        return text

    def unlinked(found: re.Match[str]) -> str:
        address = found.group(2)
        return found.group() if not _LINK.match(address) or keep(address) else found.group(1)

    def cut(found: re.Match[str]) -> str:
        link = found.group().rstrip(_TAIL)
        return found.group() if keep(link) else found.group()[len(link) :]

    stripped = _LINK.sub(cut, _MARKDOWN.sub(unlinked, text))
    return text if stripped == text else _tidied(stripped)


def leaned_on(text: str, keep: Callable[[str], bool]) -> str:
    """Finds an address that its sentence cannot do without: `Подробнее на bank.example`.

    Args:
        text: Any text.
        keep: Says whether an address stays; those that do are no trouble.

    Returns:
        The first such address; empty when there is none.
    """
    if not may_hold_link(text):
        return ""
    links = (found.group("link").rstrip(_TAIL) for found in _AFTER_PREPOSITION.finditer(text))
    return next((link for link in links if not keep(link)), "")


def _tidied(text: str) -> str:
    text = _SPACE_BEFORE_MARK.sub(r"\1", _EMPTY_BRACKETS.sub("", text))
    return re.sub(r" {2,}", " ", _MARKS_AFTER_COLON.sub(r"\1", text)).strip()
