"""How often one client may ask, so that trying out what a pipeline lets pass is dear."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

CLIENTS = 10_000
"""Clients to remember; those that asked longest ago are forgotten first."""


class Rate:
    """A token bucket for each client: it fills by so many requests a minute, and holds as many.

    Args:
        per_minute: Requests of one client in a minute; 0 doesn't limit.
        clock: Seconds that pass.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Count a request of a client.

        Args:
            address: Of the client; of IPv6 the first half counts, which is what one client has.

        Returns:
            0 if it may be answered; else the seconds until one may, and it doesn't count.
        """
        if not self._per_minute:
            return 0.0
        client, now = _client(address), self._clock()
        left, since = self._buckets.pop(client, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / 60, self._per_minute)
        allowed = left >= 1
        self._buckets[client] = left - allowed, now
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / self._per_minute


def _client(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:  # a socket of the machine itself has none
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped:  # how a socket for both kinds names those of IPv4
        return str(known.ipv4_mapped)
    return str(int(known) >> 64)
