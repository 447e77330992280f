"""A recording with its results for the Rerun viewer: images, boxes, and curves of each face."""

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import rerun

from emotion_perception.emotions import EMOTIONS
from emotion_perception.offline.recordings import Recording
from emotion_perception.offline.result_bag import ImageResult, images_with_results


def write_rerun(recording: Recording, folder: Path, cameras: dict[str, str]) -> Path:
    """Write ``emotions.rrd`` beside the finished results of a recording.

    :param cameras: topic -> camera, as the results were made with; of a video '' -> camera.
    :raises BagError: when the recording or the results cannot be read.
    """
    path = folder / 'emotions.rrd'
    temporary = path.with_name('unfinished.rrd')
    stream = rerun.RecordingStream('emotion_perception', recording_id=recording.name)
    stream.save(temporary)
    for pixels, result in images_with_results(recording, cameras, folder):
        _log(stream, pixels, result)
    stream.flush()
    stream.disconnect()
    os.replace(temporary, path)
    return path


def _log(stream: rerun.RecordingStream, pixels: npt.NDArray[np.uint8], result: ImageResult) -> None:
    stream.set_time('time', timestamp=result.time_ns * 1e-9)
    _, jpeg = cv2.imencode('.jpg', pixels)
    camera = result.camera.strip('/')
    stream.log(
        f'{camera}/image', rerun.EncodedImage(contents=jpeg.tobytes(), media_type='image/jpeg')
    )
    stream.log(
        f'{camera}/image/faces',
        rerun.Boxes2D(
            array=[face.roi for face in result.faces],
            array_format=rerun.Box2DFormat.XYWH,
            labels=[f'{face.track_id} {face.label}' for face in result.faces],
        ),
    )
    for face in result.faces:
        curves = dict(zip(EMOTIONS, face.scores)) | {'intensity': face.intensity}
        for name, value in curves.items():
            stream.log(f'{camera}/face {face.track_id}/{name}', rerun.Scalars(value))
