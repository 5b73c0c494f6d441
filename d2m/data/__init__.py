"""Data: recordings of any format, corpora, and the tensors that training draws from.

sources      the clips in a folder, whatever their format
folders      song, style and frame rate of a clip by its place
retarget     a recording brought to 15 poses a second, one body and one floor
corpus       corpora: built, checked, split, cached
dataset      units, runs and style windows as tensors
video        keypoints of the dancer in a video, by MediaPipe
formats      one reader a format
builtin      the built-in corpus: computed songs and dancers
"""
