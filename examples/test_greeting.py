from emotion_perception.offline.expectations import emotions_in


def test_greeting():
    seen = emotions_in('starter')
    seen.assert_shown('happiness', 5, 7)
    seen.assert_absent('anger', 5, 7)
