"""The right to ask: Basic, or Bearer tokens that are given out for a scope.

Source: distribution/distribution, docs/spec/auth/token.md and oauth.md.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from packager.adapters.fetch import FailedError
from packager.adapters.registry.auth import Challenge, Login, Logins, parse_challenge
from packager.adapters.registry.refusals import refusal
from packager.adapters.registry.wire import Wire
from packager.documents import parse_json
from packager.errors import CommandError
from packager.references import Reference

CLIENT: Final = "emr-serverless-packager"
LARGEST_ANSWER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was given out, by registry and scope; it is never written anywhere."""

    wire: Wire
    logins: Logins
    challenges: dict[str, Challenge] = field(default_factory=dict)
    given: dict[tuple[str, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def header(self, reference: Reference, scope: str) -> str:
        """What is known to be wanted; empty while nothing is."""
        challenge = self.challenges.get(reference.host)
        if challenge is None:
            return ""
        with self.lock:  # not to ask for the same one from each thread
            found = self.given.get((reference.host, scope))
            if found is None:
                found = self._asked_for(reference, challenge, scope)
                self.given[reference.host, scope] = found
            return found

    def challenged(self, reference: Reference, scope: str, header: str, *, used: str) -> bool:
        """Learn from a 401 to what was `used`; whether another try is better off."""
        challenge = parse_challenge(header)
        if challenge is None:
            return False
        with self.lock:
            if self.given.get((reference.host, scope)) == used:
                self.given.pop((reference.host, scope), None)
            self.challenges[reference.host] = challenge
        new = self.header(reference, scope)
        # A token may have run out, so that one more is worth a try; a password does not change.
        return bool(new) and (new != used or not used)

    def _asked_for(self, reference: Reference, challenge: Challenge, scope: str) -> str:
        login = self.logins(reference.host)
        if challenge.scheme == "basic":
            return login.basic if login and not login.identity_token else ""
        if login is not None and scope.endswith(":pull"):
            try:
                return self._token(reference, challenge, scope, login)
            except CommandError:
                # What docker remembers may be long out of date where anybody may read.
                return self._token(reference, challenge, scope, None)
        return self._token(reference, challenge, scope, login)

    def _token(
        self, reference: Reference, challenge: Challenge, scope: str, login: Login | None
    ) -> str:
        scopes = [("scope", one) for one in scope.split()]
        service = [("service", challenge.service)] if challenge.service else []
        headers: dict[str, str] = {}
        realm = challenge.realm
        if urlsplit(realm).scheme != "https" and not reference.local:
            raise FailedError(
                f"{reference.host} sends us for a token to where nothing is secret", final=True
            )
        if login is not None and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": CLIENT,
                "scope": scope,
                "service": challenge.service,
                "refresh_token": login.identity_token,
            }
            method, url, body = "POST", realm, urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            joint = "&" if "?" in realm else "?"
            method, url, body = "GET", f"{realm}{joint}{urlencode(service + scopes)}", b""
            if login is not None:
                headers["Authorization"] = login.basic
        with self.wire.once(method, url, headers=headers, body=body or None) as response:
            content = response.raw.read(LARGEST_ANSWER)
            if response.status_code != 200:
                raise refusal(response.status_code, content, reference, "giving out a token")
        return f"Bearer {_found(content, reference, ('token', 'access_token'))}"


def _found(content: bytes, reference: Reference, names: Iterable[str]) -> str:
    try:
        value = parse_json(content.decode())
    except ValueError:
        value = None
    for name in names:
        token = value.get(name) if isinstance(value, dict) else None
        if isinstance(token, str) and token and token.isprintable():
            return token
    raise FailedError(f"who gives out the tokens for {reference.host} has given none", final=True)
