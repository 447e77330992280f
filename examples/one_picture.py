import cv2
from emotion_perception.pipeline import EmotionPipeline

pipeline = EmotionPipeline(publish_new_tracks=True)  # a face counts the first time it is seen
for face in pipeline.process(cv2.imread('person.jpg'), stamp_ns=0):
    print(face.label, face.roi)
