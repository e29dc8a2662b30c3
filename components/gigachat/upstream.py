"""GigaChat's failures as HTTP statuses, so that retries, fallbacks and error rates can see them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx
from gigachat.exceptions import GigaChatException, ResponseError


@dataclass(eq=False)
class UpstreamError(Exception):
    """GigaChat did not answer as asked.

    Attributes:
        status: The HTTP status the client gets: GigaChat's own, 502 when it cannot be reached or
            answers nonsense, 504 when it is silent.
        message: One sentence.
        retry_after: GigaChat's `Retry-After`, as it came.
    """

    status: int
    message: str
    retry_after: str | None = None


@contextmanager
def as_upstream_errors() -> Iterator[None]:
    """Turns whatever the `gigachat` library raises into an UpstreamError."""
    try:
        yield
    except ResponseError as error:
        raise _from_response(error) from error
    except httpx.TimeoutException as error:
        raise UpstreamError(504, f"GigaChat was silent for too long ({_name(error)}).") from error
    except httpx.HTTPError as error:
        raise UpstreamError(502, f"GigaChat cannot be reached ({_name(error)}).") from error
    except (GigaChatException, ValueError, TypeError) as error:
        raise UpstreamError(502, f"GigaChat's answer makes no sense ({_name(error)}).") from error


def _from_response(error: ResponseError) -> UpstreamError:
    status = error.status_code if error.status_code >= HTTPStatus.BAD_REQUEST else 502
    retry_after = error.headers.get("retry-after") if error.headers else None
    return UpstreamError(
        status, f"GigaChat answered {error.status_code}: {_reason(error)}", retry_after
    )


def _reason(error: ResponseError) -> str:
    """GigaChat's own words when its body is its usual JSON, else the kind of error."""
    try:
        body = json.loads(error.content or b"")
    except ValueError:
        return _name(error)
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or _name(error))


def _name(error: Exception) -> str:
    return type(error).__name__
