"""Music: sound, features, beats, and the analysis of a song that joins them.

song_files     what a file is that cannot be a song, and whether it is complete
decoding       sound of any file on one clock, decoded by PyAV
audio          a song in mono, or as a stream in stereo
features       spectra, onset strength, the 28 features of a song
beat_network   the network that gives the probability of a beat at each moment
beat_decoder   the most likely beats and bars under these probabilities
onset_tracker  the beat tracker that needs no trained weights
beats          beats, tracked or given by a user, and their tempo
analysis       a song's beats, tempo and features, cached
"""

from d2m.music.audio import load

__all__ = ["load"]
