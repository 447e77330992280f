"""Everybody in view of all cameras: their stable emotions, and who the main person is."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from emotion_perception.behaviour import options as option_table
from emotion_perception.behaviour.events import EmotionEvent, Person
from emotion_perception.emotions import check_faces, FaceResult, TrackState

#: By so much another person must be ahead of the main one (a factor), so that two who are alike
#: do not take turns.
LEAD = 1.2

# What the main person has most of, by the option main_person.
_VALUES: dict[str, Callable[[Person], float]] = {
    'nearest': lambda person: person.size,
    # By the clock of the person's own camera alone.
    'longest': lambda person: person.stamp_ns - person.seen_since_ns,
    'strongest': lambda person: person.intensity,
}


class People:
    """The results of every image in, events out.

    :param options: any of :data:`emotion_perception.behaviour.options.OPTIONS`.
    :raises ValueError: for a wrong option.
    """

    def __init__(self, **options: Any) -> None:
        self._options = option_table.checked(options)
        self._cameras: dict[str, int] = {}  # name -> stamp of its newest image [ns]
        self._people: dict[tuple[str, int], Person] = {}  # by camera and track id
        # From a camera's stamps to time_ns [ns], also of those that are gone.
        self._offsets: dict[str, int] = {}
        #: One time for all cameras, whose clocks may differ [ns]: it goes on by their stamps, and
        #: never back when those go back, as in a recording that begins again.
        self.time_ns = 0
        self._ahead_since_ns: int | None = None  # by time_ns
        #: The main person, or None.
        self.main: Person | None = None
        #: How often a camera's people were forgotten, for its stamps jumped.
        self.jumps = 0

    def __iter__(self) -> Iterator[Person]:
        """Give each :class:`Person` in view, in order of camera and track id."""
        return (person for _, person in sorted(self._people.items()))

    def set_options(self, **options: Any) -> None:
        """Change options.

        :raises ValueError: for an unknown or wrong one; then nothing is changed.
        """
        self._options = option_table.checked({**self._options, **options})

    def update(
        self, camera: str, stamp_ns: int, image_size: tuple[int, int], faces: Sequence[FaceResult]
    ) -> list[EmotionEvent]:
        """Take in the faces of a camera's next image, also when it shows none.

        A stamp before the camera's last one, or more than ``max_gap`` after it, ends what was.

        :param stamp_ns: stamp of the image [ns].
        :param image_size: its height and width [pixels].
        :return: what happened, in order of track id.
        :raises ValueError: by :func:`.check_faces`; then nothing is changed.
        """
        check_faces(image_size, faces)
        elapsed_ns = stamp_ns - self._cameras.get(camera, stamp_ns)
        events: list[EmotionEvent | None] = []
        if not 0 <= elapsed_ns <= self._options['max_gap'] * 1e9:
            self.jumps += 1
            events += self.forget(camera)
        self._go_on(camera, stamp_ns)
        seen = {(camera, face.track_id): face for face in faces if face.state != TrackState.NEW}
        for key in sorted(self._people):
            known = seen.get(key)
            # A shorter sequence is another face's: emotion_node was started anew and counts again.
            if key[0] == camera and (
                known is None or known.sequence_length < self._people[key].sequence_length
            ):
                events.append(self._people.pop(key).end())
        for key, face in seen.items():
            person = self._people.setdefault(key, Person(camera, face.track_id, stamp_ns))
            events.append(person.update(face, stamp_ns, image_size, self._options))
        self._choose_main()
        return sorted((event for event in events if event), key=lambda event: event.track_id)

    def forget(self, camera: str) -> list[EmotionEvent]:
        """Let a camera's people be gone, because its images have stopped.

        :return: the ends of their emotions.
        """
        self._cameras.pop(camera, None)
        # Its clock may have run ahead of the others': time_ns goes on from where it is.
        behind_ns = min(
            (self.time_ns - stamp - self._offsets[name] for name, stamp in self._cameras.items()),
            default=0,
        )
        for name in self._cameras:
            self._offsets[name] += behind_ns
        keys = sorted(key for key in self._people if key[0] == camera)
        events = [self._people.pop(key).end() for key in keys]
        self._choose_main()
        return [event for event in events if event]

    def _go_on(self, camera: str, stamp_ns: int) -> None:
        if camera not in self._cameras:  # new, or back, and time_ns may have gone on without it
            least_ns = self.time_ns - stamp_ns
            self._offsets[camera] = max(self._offsets.get(camera, least_ns), least_ns)
        self._cameras[camera] = stamp_ns
        self.time_ns = max(self.time_ns, stamp_ns + self._offsets[camera])

    def _choose_main(self) -> None:
        value = _VALUES[self._options['main_person']]
        best = max(self, key=lambda person: (value(person), person.size), default=None)
        main = self.main
        present = main is not None and main is self._people.get((main.camera, main.track_id))
        lead = 1.0 if self._options['main_person'] == 'longest' else LEAD
        if best is None or main is None or not present:
            self.main, self._ahead_since_ns = best, None
        elif value(best) <= value(main) * lead:
            self._ahead_since_ns = None
        elif self._ahead_since_ns is None:
            self._ahead_since_ns = self.time_ns
        elif self.time_ns - self._ahead_since_ns >= self._options['main_hold'] * 1e9:
            self.main, self._ahead_since_ns = best, None
