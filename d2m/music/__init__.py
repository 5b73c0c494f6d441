"""Music: sound, features, beats, and the analysis of a song that joins them.

audio        sound of any file, decoded by PyAV
features     spectra, onset strength, the 28 features of a song
beats        the beat tracker, beats that a user gives, tempo
analysis     a song's beats, tempo and features, cached
"""

from d2m.music.audio import load

__all__ = ["load"]
