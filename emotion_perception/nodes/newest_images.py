"""Hands the newest image of each camera from the thread that receives to the one that works."""

import threading
from typing import Generic, TypeVar

Message = TypeVar('Message')


class NewestImages(Generic[Message]):
    """One place for each camera; an image that comes before the last was taken replaces it.

    So nothing queues up, and a camera that is slow or silent keeps no other one waiting.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, camera: str, message: Message) -> bool:
        """Leave an image.

        :return: True when it replaced one that nobody had taken.
        """
        with self._changed:
            replaced = camera in self._waiting
            self._waiting[camera] = message
            self._changed.notify()
        return replaced

    def take(self) -> dict[str, Message]:
        """Wait for images and take all there are.

        :return: dict camera -> message, the longest waiting first; empty when closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            taken, self._waiting = self._waiting, {}
            return {} if self._closed else taken

    def close(self) -> dict[str, Message]:
        """Let take() return empty, now and from now on.

        :return: dict of the images that nobody has taken.
        """
        with self._changed:
            self._closed = True
            left, self._waiting = self._waiting, {}
            self._changed.notify()
        return left
