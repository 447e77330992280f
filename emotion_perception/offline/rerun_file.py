"""A recording with its results for the Rerun viewer: images, boxes, and curves of each face."""
from collections.abc import Iterable
import os
from pathlib import Path

import cv2
import rerun

from emotion_perception.emotions import EMOTIONS
from emotion_perception.offline.images import Image, images_of_bag, images_of_video
from emotion_perception.offline.recordings import Bag, Recording
from emotion_perception.offline.result_bag import read_results
from emotion_perception.offline.storage import Message


def write_rerun(recording: Recording, folder: Path, cameras: dict[str, str]) -> Path:
    """Write ``emotions.rrd`` beside the finished results of a recording.

    :param cameras: topic -> camera, as the results were made with; of a video '' -> camera.
    :raises BagError: when the recording or the results cannot be read.
    """
    path = folder / 'emotions.rrd'
    temporary = path.with_name('unfinished.rrd')
    stream = rerun.RecordingStream('emotion_perception', recording_id=recording.name)
    stream.save(temporary)
    if recording.is_video:
        _log(stream, images_of_video(recording.paths[0], *cameras.values()), folder)
    else:
        with Bag(recording.paths) as bag:
            _log(stream, images_of_bag(bag, cameras), folder)
    stream.flush()
    stream.disconnect()
    os.replace(temporary, path)
    return path


def _log(stream: rerun.RecordingStream, images: Iterable[Image | Message],
         folder: Path) -> None:
    # The results are in the order of the images; some images have none.
    results = read_results(folder)
    result = next(results, None)
    for image in images:
        if isinstance(image, Message) or image.pixels is None or result is None or (
                image.camera, image.time_ns) != (result.camera, result.time_ns):
            continue
        stream.set_time('time', timestamp=result.time_ns * 1e-9)
        _, jpeg = cv2.imencode('.jpg', image.pixels)
        camera = result.camera.strip('/')
        stream.log(f'{camera}/image', rerun.EncodedImage(
            contents=jpeg.tobytes(), media_type='image/jpeg'))
        stream.log(f'{camera}/image/faces', rerun.Boxes2D(
            array=[face.roi for face in result.faces], array_format=rerun.Box2DFormat.XYWH,
            labels=[f'{face.track_id} {face.label}' for face in result.faces]))
        for face in result.faces:
            curves = dict(zip(EMOTIONS, face.scores)) | {'intensity': face.intensity}
            for name, value in curves.items():
                stream.log(f'{camera}/face {face.track_id}/{name}', rerun.Scalars(value))
        result = next(results, None)
