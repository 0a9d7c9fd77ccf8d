"""Any bus of python-can as the runtime uses it.

In: the name of an interface and a channel (`virtual`, `socketcan`, `udp_multicast`, ...). Out: `gateway.Bus`.
Idea: reading and sending never wait: whoever drives at 20 Hz has no time for a bus that is stuck. A bus that fails is
one from which nothing comes, which the runtime handles as it does a silent one.
Not here: bytes and their meaning (`adapter.py`).
"""

from __future__ import annotations

import can

from dojo.errors import ConfigError


class CanBus:
    """One end of a bus; `close` it."""

    def __init__(self, bus: can.BusABC) -> None:
        self._bus = bus

    @staticmethod
    def open(interface: str, channel: str) -> CanBus:
        """A bus by the names that python-can has for it.

        Raises:
            ConfigError: there is none.
        """
        try:
            return CanBus(can.Bus(channel=channel, interface=interface))
        except (can.CanError, OSError, ValueError, ImportError) as error:
            raise ConfigError(
                f"bus {interface}:{channel}: expected an interface of python-can, got: {error}; see its documentation"
            ) from error

    def receive(self) -> tuple[int, bytes] | None:
        """The oldest message that waits."""
        try:
            message = self._bus.recv(timeout=0)
        except (can.CanError, OSError):
            return None
        return None if message is None else (message.arbitration_id, bytes(message.data))

    def send(self, frame_id: int, data: bytes) -> bool:
        """Whether the bus took it."""
        try:
            self._bus.send(can.Message(arbitration_id=frame_id, data=data, is_extended_id=frame_id > 0x7FF), timeout=0)
        except (can.CanError, OSError):
            return False
        return True

    def close(self) -> None:
        """Leave the bus."""
        self._bus.shutdown()
